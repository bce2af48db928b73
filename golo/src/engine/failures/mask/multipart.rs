//! Parts of multipart forms.

use memchr::memmem;

use super::{end_of_bare, quoted, skip_blanks};

/// Beginning of the line that names a part, in lower case.
const LINE: &[u8] = b"content-disposition:";

/// Name of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disposition<'a> {
    /// The name, or that of a file.
    pub(super) name: &'a [u8],
    /// Place of the part's value. `None` if a file is named: its part has a name too.
    pub(super) value: Option<(usize, usize)>,
}

/// Returns what the word from `start` to `end` introduces, if that is the `name` or the `filename` in the line which
/// names a part.
pub(super) fn disposition(text: &[u8], start: usize, end: usize) -> Option<Disposition<'_>> {
    let word = &text[start..end];
    let is_name = word.eq_ignore_ascii_case(b"name");
    if !is_name && !word.eq_ignore_ascii_case(b"filename") {
        return None;
    }
    let line = memchr::memrchr(b'\n', &text[..start]).map_or(0, |at| at + 1);
    let is_disposition = text[line..start].get(..LINE.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(LINE));
    let equals = skip_blanks(text, end);
    if !is_disposition || text.get(equals) != Some(&b'=') {
        return None;
    }
    let at = skip_blanks(text, equals + 1);
    let (from, to) = quoted(text, at).unwrap_or_else(|| {
        let end = end_of_bare(text, at);
        (at, memchr::memchr(b';', &text[at..end]).map_or(end, |more| at + more))
    });
    Some(Disposition { name: &text[from..to], value: if is_name { part(text, to) } else { None } })
}

/// Returns the place of the value of the part whose name ends at `at`.
fn part(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let blank = |line: &[u8]| memmem::find(&text[at..], line).map(|more| at + more + line.len());
    let from = blank(b"\r\n\r\n").into_iter().chain(blank(b"\n\n")).min()?;
    let end = |line: &[u8]| memmem::find(&text[from..], line).map(|more| from + more);
    Some((from, end(b"\r\n--").into_iter().chain(end(b"\n--")).min().unwrap_or(text.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_filename_of_the_line_are_syntax() {
        let text = b"content-Disposition: form-data; name=\"a b\"; filename=c.txt; x=name\r\n\r\nname=1\r\n--";
        let all: Vec<_> = (0..text.len())
            .flat_map(|start| [4, 8].map(|length| (start, (start + length).min(text.len()))))
            .filter_map(|(start, end)| disposition(text, start, end))
            .collect();
        let value = Some((text.len() - 10, text.len() - 4));
        let names = all.iter().map(|found| (found.name, found.value)).collect::<Vec<_>>();
        // The second one is the end of the word `filename`.
        assert_eq!(names, [(&b"a b"[..], value), (b"c.txt", None), (b"c.txt", value)]);
    }
}
