use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn text(set: TagSet) -> String {
    set.pairs().to_string()
}

#[test]
fn set_has_each_key_once_in_order() {
    let set = TagSet::EMPTY.with("b", "1").with("a", "2").with("b", "3");
    assert_eq!(text(set), "a:2,b:3");
    assert_eq!(TagSet::EMPTY.with("a", "2").with("b", "3"), set, "the same set has the same number");
    assert_eq!((text(TagSet::EMPTY), TagSet::EMPTY.is_empty(), set.is_empty()), (String::new(), true, false));
    assert_eq!((set.pairs().get("b"), set.pairs().get("c")), (Some("3"), None));
}

#[test]
fn group_is_named_after_the_groups_around_it() {
    let outer = TagSet::EMPTY.entering("checkout");
    assert_eq!((text(outer), text(outer.entering("pay"))), ("group:checkout".into(), "group:checkout::pay".into()));
    let tags = TagSet::EMPTY.with("tenant", "blue").with("group", "mine");
    assert_eq!(text(tags.under(outer)), "group:checkout,tenant:blue");
    assert_eq!((tags.under(TagSet::EMPTY), TagSet::EMPTY.under(tags)), (tags, tags));
}

#[test]
fn text_is_bounded_and_without_secrets() {
    let set = TagSet::EMPTY.with(&"k".repeat(100), &"é".repeat(100));
    let pairs = set.pairs();
    let (key, value) = pairs.iter().next().unwrap();
    assert_eq!((key.len(), value.len() <= 128, value.ends_with("é…")), (64, true, true));
    let url = TagSet::EMPTY.with("target", "http://user:secret@127.0.0.1/").pairs();
    assert!(!url.get("target").unwrap().contains("secret"), "{url:?}");
    let many: TagPairs = (0..100).map(|n| (format!("{n:03}"), "")).collect();
    assert_eq!((many.iter().len(), many.get("031"), many.get("032")), (32, Some(""), None));
    assert_eq!((many.with("new", "1"), many.with("031", "1").is_some()), (None, true));
}

#[test]
fn other_thread_knows_the_same_sets() {
    let set = TagSet::EMPTY.with("thread", "one");
    let (same, pairs) = std::thread::spawn(move || (TagSet::EMPTY.with("thread", "one"), set.pairs())).join().unwrap();
    assert_eq!((same, pairs), (set, set.pairs()));
}

proptest! {
    #[test]
    fn sets_agree_with_a_map(tags in prop::collection::vec(("[abc]", "[xy]"), 0..12)) {
        let set = tags.iter().fold(TagSet::EMPTY, |set, (key, value)| set.with(key, value));
        let map: BTreeMap<_, _> = tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        prop_assert!(set.pairs().iter().eq(map.iter().map(|(key, value)| (*key, *value))));
        let collected: TagPairs = tags.iter().map(|(key, value)| (key, value)).collect();
        prop_assert_eq!(collected, set.pairs());
    }
}
