//! What the head of an ELF file says: which machine it is for, which loader it wants, and how long it must be.

use std::io::{self, Read, Seek, SeekFrom};

/// Most program headers that are read: a program has a dozen.
const HEADERS: u64 = 256;
/// What `e_type` says of a program, one that may be loaded anywhere among them.
const PROGRAMS: [u64; 2] = [2, 3];
/// A part of the file that is mapped into memory.
const LOAD: u64 = 1;
/// The name of the loader.
const INTERPRETER: u64 = 3;
/// The longest name of a loader.
const NAME: u64 = 4096;

/// An ELF file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elf {
    /// Whether it is a program or a library, rather than a part of one.
    pub(super) program: bool,
    /// `e_machine`.
    pub(super) machine: u16,
    /// Where the last part ends that is mapped into memory, in bytes; nothing where not even the list of parts is whole.
    pub(super) length: Option<u64>,
    /// The loader it wants.
    pub(super) loader: Option<String>,
}

impl Elf {
    /// Reads the head of one, that is known to begin as one.
    ///
    /// # Errors
    ///
    /// Where `file` cannot be read; a file that ends early is none.
    pub(super) fn read(file: &mut (impl Read + Seek)) -> io::Result<Self> {
        let head = part(file, 0, 64)?;
        let form = Form { wide: head.get(4) == Some(&2), big: head.get(5) == Some(&2) };
        let machine = u16::try_from(form.number(&head, 18, 2).unwrap_or_default()).unwrap_or_default();
        let program = form.number(&head, 16, 2).is_some_and(|kind| PROGRAMS.contains(&kind));
        let mut elf = Self { program, machine, length: None, loader: None };
        if let Some((at, size, count)) = form.table(&head)
            && size == form.header_size() as u64
            && count <= HEADERS
        {
            let table = part(file, at, size * count)?;
            if table.len() as u64 == size * count {
                elf.read_table(file, form, &table)?;
            }
        }
        Ok(elf)
    }

    fn read_table(&mut self, file: &mut (impl Read + Seek), form: Form, table: &[u8]) -> io::Result<()> {
        self.length = Some(0);
        for header in table.chunks_exact(form.header_size()) {
            let Some((kind, at, length)) = form.header(header) else { continue };
            match kind {
                LOAD => self.length = self.length.max(Some(at.saturating_add(length))),
                INTERPRETER => {
                    let name = part(file, at, length.min(NAME))?;
                    self.loader = Some(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// How numbers are written in a file.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// 64 bits.
    wide: bool,
    /// The most significant byte first.
    big: bool,
}

impl Form {
    fn number(self, bytes: &[u8], at: usize, size: usize) -> Option<u64> {
        let bytes = bytes.get(at..at + size)?;
        let push = |number, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.big { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) })
    }

    /// Where the program headers are, how long each is, and how many there are.
    fn table(self, head: &[u8]) -> Option<(u64, u64, u64)> {
        let (at, size, count) = if self.wide { ((32, 8), 54, 56) } else { ((28, 4), 42, 44) };
        Some((self.number(head, at.0, at.1)?, self.number(head, size, 2)?, self.number(head, count, 2)?))
    }

    /// How long a program header is, in bytes.
    fn header_size(self) -> usize {
        if self.wide { 56 } else { 32 }
    }

    /// What kind of part it is about, where that is in the file, and how long.
    fn header(self, header: &[u8]) -> Option<(u64, u64, u64)> {
        let (at, length, size) = if self.wide { (8, 32, 8) } else { (4, 16, 4) };
        Some((self.number(header, 0, 4)?, self.number(header, at, size)?, self.number(header, length, size)?))
    }
}

/// `length` bytes from `at` on, or as many as there are.
fn part(file: &mut (impl Read + Seek), at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A head for `machine` in this form, with one part that is mapped, up to the byte 1000, and a loader.
    fn file(wide: bool, big: bool, machine: u64) -> Vec<u8> {
        let put = |file: &mut [u8], at: usize, size: usize, number: u64| {
            let bytes = number.to_be_bytes();
            file[at..at + size].copy_from_slice(&bytes[8 - size..]);
            if !big {
                file[at..at + size].reverse();
            }
        };
        let mut file = vec![0; 200];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 1 + u8::from(big)]);
        put(&mut file, 16, 2, 3);
        put(&mut file, 18, 2, machine);
        let (size, numbers) = if wide {
            (56, [(32, 8, 64), (54, 2, 56), (56, 2, 2)])
        } else {
            (32, [(28, 4, 64), (42, 2, 32), (44, 2, 2)])
        };
        numbers.into_iter().for_each(|(at, size, number)| put(&mut file, at, size, number));
        for (index, (kind, at, length)) in [(LOAD, 900, 100), (INTERPRETER, 180, 6)].into_iter().enumerate() {
            let start = 64 + index * size;
            let (offset, filled, width) = if wide { (8, 32, 8) } else { (4, 16, 4) };
            put(&mut file, start, 4, kind);
            put(&mut file, start + offset, width, at);
            put(&mut file, start + filled, width, length);
        }
        file[180..186].copy_from_slice(b"/ld.1\0");
        file
    }

    #[test]
    fn every_form_is_read() {
        for (wide, big, machine) in [(true, false, 62), (true, true, 22), (false, false, 40), (false, true, 8)] {
            let elf = Elf::read(&mut Cursor::new(file(wide, big, machine))).unwrap();
            let machine = u16::try_from(machine).unwrap();
            assert_eq!(elf, Elf { program: true, machine, length: Some(1000), loader: Some("/ld.1".to_owned()) });
        }
    }

    #[test]
    fn a_file_that_ends_early_is_read_as_far_as_it_goes() {
        let whole = file(true, false, 62);
        for length in 0..whole.len() {
            let elf = Elf::read(&mut Cursor::new(whole[..length].to_vec())).unwrap();
            assert_eq!(elf.length.is_some(), length >= 64 + 2 * 56, "{length}");
        }
    }

    #[test]
    fn this_program_is_as_long_as_it_must_be() {
        let mut own = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        if cfg!(target_os = "linux") {
            let elf = Elf::read(&mut own).unwrap();
            assert!((1..=own.metadata().unwrap().len()).contains(&elf.length.unwrap()));
        }
    }
}
