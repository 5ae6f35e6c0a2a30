//! Real peers against the real binary, over the wire only. The tests are `house.rs`, `it/` and
//! `judges.rs`; the peers' own programs lie in `peers/`.
