#![doc = include_str!("../docs/naming-routes.md")]

#[cfg(test)]
mod tests {
    use crate::engine::route;

    #[test]
    fn each_row_of_the_table_is_true() {
        let page = include_str!("../docs/naming-routes.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `/")?.strip_suffix("` |")?.split_once("` | `"));
        let mut count = 0;
        for (requested, expected) in rows {
            let url = format!("http://127.0.0.1:8765/{requested}");
            assert_eq!(route::template(route::split(&url).1), expected);
            count += 1;
        }
        assert_eq!(count, 10);
    }
}
