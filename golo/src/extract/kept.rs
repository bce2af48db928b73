//! Compiled patterns. Each thread keeps those that it used, so that a load test may write them where it uses them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;

use rustc_hash::FxHasher;

/// Largest number of patterns that are kept. A load test that builds patterns from data would have no end of them.
const MOST: usize = 64;

/// Compiled patterns by their text.
pub(super) struct Kept<T> {
    by_text: RefCell<HashMap<Box<str>, Rc<T>, BuildHasherDefault<FxHasher>>>,
}

impl<T> Kept<T> {
    pub(super) const fn new() -> Self {
        Self { by_text: RefCell::new(HashMap::with_hasher(BuildHasherDefault::new())) }
    }

    /// Returns the compiled pattern. Compiles it with `compile` if this thread does not have it.
    ///
    /// # Errors
    ///
    /// Returns the error of `compile`.
    pub(super) fn get<E>(&self, text: &str, compile: impl FnOnce(&str) -> Result<T, E>) -> Result<Rc<T>, E> {
        if let Some(known) = self.by_text.borrow().get(text) {
            return Ok(Rc::clone(known));
        }
        let compiled = Rc::new(compile(text)?);
        let mut by_text = self.by_text.borrow_mut();
        if by_text.len() == MOST {
            by_text.clear();
        }
        by_text.insert(text.into(), Rc::clone(&compiled));
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_is_compiled_once_and_the_number_is_bounded() {
        let kept = Kept::new();
        let mut compiled = 0;
        for _ in 0..3 {
            let length = kept.get("four", |text| {
                compiled += 1;
                Ok::<_, ()>(text.len())
            });
            assert_eq!(length.as_deref(), Ok(&4));
        }
        assert_eq!(compiled, 1);
        assert_eq!(kept.get("five", |_| Err("no")), Err("no"));
        for number in 0..1_000 {
            kept.get(&number.to_string(), |text| Ok::<_, ()>(text.len())).unwrap();
            assert!(kept.by_text.borrow().len() <= MOST);
        }
    }
}
