//! Sets keys in a commented `cairn.toml` line by line, so that the file stays the one that
//! `cairn ca init` wrote but for the key.

/// Sets `table.key` (or a top-level `key`) to a TOML value: in place of its line, commented out
/// or not, else at the head of its table, else in a new table at the end.
pub(super) fn set(text: &str, key: &str, value: &str) -> String {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let entry = format!("{name} = {value}");
    let Some(start) = section(&lines, table) else {
        lines.extend([String::new(), format!("[{table}]"), entry]);
        return lines.join("\n") + "\n";
    };
    let length = lines.iter().skip(start).position(|line| is_header(line));
    let end = length.map_or(lines.len(), |length| start + length);
    let place = |commented: bool| {
        (start..end).find(|at| {
            lines
                .get(*at)
                .is_some_and(|line| names(line, name, commented))
        })
    };
    let found = place(false).or_else(|| place(true));
    match found {
        Some(at) => {
            // An array may go on over several lines, up to its bracket.
            let opens = lines
                .get(at)
                .is_some_and(|line| line.contains('[') && !line.contains(']'));
            let mut rest = lines.iter().take(end).skip(at + 1);
            let more = rest.position(|line| line.contains(']')).filter(|_| opens);
            lines.splice(at..=at + more.map_or(0, |more| more + 1), [entry]);
        }
        None => lines.insert(start, entry),
    }
    lines.join("\n") + "\n"
}

/// The first line after a table's header; the file's first for the top level.
fn section(lines: &[String], table: &str) -> Option<usize> {
    if table.is_empty() {
        return Some(0);
    }
    let header = format!("[{table}]");
    lines
        .iter()
        .position(|line| line.trim() == header)
        .map(|at| at + 1)
}

fn is_header(line: &str) -> bool {
    line.starts_with('[')
}

fn names(line: &str, name: &str, commented: bool) -> bool {
    let line = line.trim_start();
    let line = if commented {
        line.trim_start_matches(['#', ' '])
    } else {
        line
    };
    line.strip_prefix(name)
        .is_some_and(|rest| rest.trim_start().starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::set;

    const FILE: &str = "# head\nname = \"x\"\n\n[dns]\n# servers: who is asked\n# servers = []\n\n\
                        [log]\nlevel = \"info\"\n";

    #[test]
    fn a_key_is_set_in_its_place() {
        let cases = [
            ("name", "\"y\"", "name = \"y\"\n\n[dns]"),
            ("url", "\"u\"", "url = \"u\"\n# head\nname"),
            (
                "dns.servers",
                "[1]",
                "# servers: who is asked\nservers = [1]\n\n[log]",
            ),
            ("log.format", "\"json\"", "[log]\nformat = \"json\"\nlevel"),
            (
                "orders.life",
                "\"1d\"",
                "level = \"info\"\n\n[orders]\nlife = \"1d\"\n",
            ),
        ];
        let wrong = cases
            .iter()
            .filter(|(key, value, want)| !set(FILE, key, value).contains(want));
        let wrong: Vec<_> = wrong.collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn an_array_over_several_lines_is_replaced_whole() {
        let file = "[dns]\nservers = [\n  1,\n  2,\n]\ntimeout = 3\n";
        assert_eq!(
            set(file, "dns.servers", "[]"),
            "[dns]\nservers = []\ntimeout = 3\n"
        );
    }
}
