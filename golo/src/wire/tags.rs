//! Tags of triggers.

use super::WireError;
use super::histogram::{read as read_histogram, write as write_histogram};
use crate::engine::tags::{Counts, Numbers, Tag, Tags, kept};
use crate::pb::engine as pb;

pub(super) fn write((key, tag): (&str, &Tag)) -> pb::Tag {
    let (other, texts) = (tag.other(), tag.texts());
    let [passed, failed] = tag.by_outcome();
    let value = |(value, counts): (&str, &Counts)| pb::TagValue {
        value: value.to_owned(),
        passed: counts.passed,
        failed: counts.failed,
    };
    let [passed_below, passed] = passed.histograms().map(write_histogram);
    let [failed_below, failed] = failed.histograms().map(write_histogram);
    pb::Tag {
        key: key.to_owned(),
        values: tag.values().map(value).collect(),
        other_passed: other.passed,
        other_failed: other.failed,
        texts_passed: texts.passed,
        texts_failed: texts.failed,
        passed,
        passed_below,
        failed,
        failed_below,
    }
}

pub(super) fn read(written: &[pb::Tag], beyond: u64) -> Result<Tags, WireError> {
    let mut tags = Tags::default();
    tags.add_beyond(beyond);
    for written in written {
        tags.merge_key(&written.key, &tag(written)?);
    }
    Ok(tags)
}

fn tag(written: &pb::Tag) -> Result<Tag, WireError> {
    let other = Counts { passed: written.other_passed, failed: written.other_failed };
    let texts = Counts { passed: written.texts_passed, failed: written.texts_failed };
    let numbers = |below: &Option<pb::Histogram>, above: &Option<pb::Histogram>| {
        Ok::<_, WireError>(Numbers::of(read_histogram(below.as_ref())?, read_histogram(above.as_ref())?))
    };
    let passed = numbers(&written.passed_below, &written.passed)?;
    let failed = numbers(&written.failed_below, &written.failed)?;
    let mut tag = Tag::restored(other, texts, [passed, failed]);
    for pb::TagValue { value, passed, failed } in &written.values {
        tag.add_value(&kept(value), Counts { passed: *passed, failed: *failed });
    }
    Ok(tag)
}
