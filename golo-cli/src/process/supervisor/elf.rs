//! The headers of an ELF file, which show if the file can be executed here.

use std::io::{Read, Seek};

use object::Endianness;
use object::elf::{ET_DYN, ET_EXEC, FileHeader32, FileHeader64, Machine, PT_INTERP, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader as _};
use object::read::{ReadCache, ReadRef as _};

/// Longest path of a loader that is read, in bytes.
const LOADER: u64 = 4096;

/// An ELF file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elf {
    /// True if it is a program or a library, false if it is an object file or a core dump.
    pub(super) is_program: bool,
    pub(super) machine: Machine,
    /// End of the last segment that is loaded into memory, in bytes of the file. `None` if the table of segments is cut
    /// short.
    pub(super) length: Option<u64>,
    /// Path of the loader that the program needs.
    pub(super) loader: Option<String>,
}

impl Elf {
    /// Reads the headers. Returns `None` if the file header is invalid or cut short.
    pub(super) fn read(file: impl Read + Seek) -> Option<Self> {
        let file = ReadCache::new(file);
        Self::read_as::<FileHeader64<Endianness>>(&file).or_else(|| Self::read_as::<FileHeader32<Endianness>>(&file))
    }

    fn read_as<H: FileHeader<Endian = Endianness>>(file: &ReadCache<impl Read + Seek>) -> Option<Self> {
        let header = H::parse(file).ok()?;
        let endian = header.endian().ok()?;
        let table = header.program_headers(endian, file).ok();
        let segments = |kind| {
            let segments = table.unwrap_or_default().iter().filter(move |segment| segment.p_type(endian) == kind);
            segments.map(|segment| segment.file_range(endian))
        };
        let loader = segments(PT_INTERP).next().and_then(|(at, size)| file.read_bytes_at(at, size.min(LOADER)).ok());
        Some(Self {
            is_program: matches!(header.e_type(endian), ET_EXEC | ET_DYN),
            machine: header.e_machine(endian),
            length: table.map(|_| segments(PT_LOAD).map(|(at, size)| at.saturating_add(size)).max().unwrap_or(0)),
            loader: loader.map(|path| String::from_utf8_lossy(path).trim_end_matches('\0').to_owned()),
        })
    }
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
        file[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 1 + u8::from(big), 1]);
        put(&mut file, 16, 2, 3);
        put(&mut file, 18, 2, machine);
        let (size, numbers) = if wide {
            (56, [(32, 8, 64), (54, 2, 56), (56, 2, 2)])
        } else {
            (32, [(28, 4, 64), (42, 2, 32), (44, 2, 2)])
        };
        numbers.into_iter().for_each(|(at, size, number)| put(&mut file, at, size, number));
        for (index, (kind, at, length)) in [(1, 900, 100), (3, 180, 6)].into_iter().enumerate() {
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
    fn headers_of_every_width_and_byte_order_are_read() {
        for (wide, big, machine) in [(true, false, 62), (true, true, 22), (false, false, 40), (false, true, 8)] {
            let elf = Elf::read(Cursor::new(file(wide, big, machine))).unwrap();
            let machine = Machine(u16::try_from(machine).unwrap());
            assert_eq!(elf, Elf { is_program: true, machine, length: Some(1000), loader: Some("/ld.1".to_owned()) });
        }
    }

    #[test]
    fn file_that_ends_early_is_read_as_far_as_it_goes() {
        let whole = file(true, false, 62);
        for length in 0..whole.len() {
            let elf = Elf::read(Cursor::new(whole[..length].to_vec()));
            assert_eq!(elf.is_some(), length >= 64, "{length}");
            assert_eq!(elf.is_some_and(|elf| elf.length.is_some()), length >= 64 + 2 * 56, "{length}");
        }
    }

    #[test]
    fn own_executable_is_as_long_as_its_segments_require() {
        let own = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        if cfg!(target_os = "linux") {
            let elf = Elf::read(&own).unwrap();
            assert!((1..=own.metadata().unwrap().len()).contains(&elf.length.unwrap()));
        }
    }
}
