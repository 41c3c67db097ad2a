use proptest::prelude::*;

use super::*;

#[test]
fn nothing_left_is_a_pause() {
    assert_eq!(pause("\"default\";r=0;t=30"), Some(30_000));
    assert_eq!(pause("\"default\"; t=30; r=0"), Some(30_000));
    assert_eq!(pause("limit=100, remaining=0, reset=5"), Some(5_000));
    assert_eq!(pause("\"a\";r=0;t=3, \"b\";r=0;t=60, \"c\";r=9;t=900"), Some(60_000));
    assert_eq!(pause("\"a\";r=0;t=99999999999999"), Some(LONGEST));
}

#[test]
fn something_left_or_garbage_is_none() {
    for text in
        ["", "\"default\";r=50;t=30", "\"default\";r=0", "r=-1;t=5", "r=0;t=soon", "limit=1, remaining=1, reset=5", "=", ";;,"]
    {
        assert_eq!(pause(text), None, "{text}");
    }
    assert_eq!(pause("\"a\";r=0, \"b\";t=5"), None, "of two policies");
}

proptest! {
    #[test]
    fn any_text_is_survived(text in ".*") {
        prop_assert!(pause(&text).unwrap_or(0) <= LONGEST);
    }
}
