//! Numbers that a custom metric accepts.

/// A number: any integer or float. For the methods of [`Counter`](crate::Counter), [`Gauge`](crate::Gauge) and
/// [`Trend`](crate::Trend).
pub trait Number: sealed::Sealed + Copy {
    #[doc(hidden)]
    fn number(self) -> f64;
}

mod sealed {
    /// Seals `Number`, so that methods can be added later.
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl sealed::Sealed for $number {}
        impl Number for $number {
            fn number(self) -> f64 {
                self as f64
            }
        }
    )*};
}

numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);
