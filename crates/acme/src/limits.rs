//! Bounds of what is taken from outside, each with its reason.

/// Octets of a request body (8555-6.2-13): a CSR for a hundred names stays below 10 KiB; Boulder takes 50 000.
pub const BODY: usize = 64 * 1024;

/// How deep JSON may nest (T-CA-08): ACME's deepest object needs five levels.
pub const JSON_DEPTH: usize = 16;

/// Octets of a nonce: ours take 43; other servers' stay below a hundred.
pub const NONCE_MAX: usize = 128;

/// Octets of a `url` or `kid`: longer ones are nowhere handed out.
pub const URL_MAX: usize = 2048;

/// Octets of an external account binding: an RSA key of 4096 bits and the longest url stay below 5 KiB. An account keeps it.
pub const BINDING: usize = 8 * 1024;

/// Contacts of one account (8555-7.3-6), unless configured.
pub const CONTACTS_MAX: usize = 10;

/// Octets of one contact's address (RFC 5321 §4.5.3.1: a path of 256 less its brackets).
pub const ADDRESS_MAX: usize = 254;

/// Octets of an address before its `@` (RFC 5321 §4.5.3.1.1).
pub const LOCAL_PART_MAX: usize = 64;

/// Identifiers of one order, unless configured (Let's Encrypt has the same bound).
pub const NAMES_MAX: usize = 100;

/// Octets of one DNS label (RFC 1035 §2.3.4).
pub const LABEL_MAX: usize = 63;

/// Octets of a DNS name as text (RFC 1035 §2.3.4: 255 on the wire).
pub const DNS_NAME_MAX: usize = 253;

/// Smallest RSA modulus in bits (BR 6.1.5).
pub const RSA_BITS_MIN: usize = 2048;

/// Largest RSA modulus in bits: the cost of a verification grows with its square (T-CA-112).
pub const RSA_BITS_MAX: usize = 4096;

/// Random octets of a token at the least: 128 bits (8555-8.3-1).
pub const TOKEN_BYTES_MIN: usize = 16;

/// Random octets of a token at the most.
pub const TOKEN_BYTES_MAX: usize = 32;

/// Characters of a token at the most, as a client takes it from any CA: it becomes a file name.
pub const TOKEN_CHARS_MAX: usize = 128;

/// Characters of a refused value that a message repeats.
pub const SHOWN_MAX: usize = 64;
