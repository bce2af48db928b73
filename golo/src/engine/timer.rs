//! A timer that is never early and hardly late: tokio's own ticks in milliseconds.

use std::time::Instant;

#[cfg(target_os = "linux")]
pub(super) use linux::Timer;
#[cfg(not(target_os = "linux"))]
pub(super) use other::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use std::{io, time::Duration};

    use rustix::{
        io::Errno,
        time::{
            Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
        },
    };
    use tokio::net::unix::pipe::Receiver;

    use super::Instant;

    /// One timerfd, which wakes the worker's event loop as a pipe would: readable, and read eight bytes at a time.
    pub(crate) struct Timer(Receiver);

    impl Timer {
        /// A timer on the runtime this is called on.
        ///
        /// # Errors
        ///
        /// Where no descriptor is left.
        pub(crate) fn new() -> io::Result<Self> {
            let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            Receiver::from_owned_fd_unchecked(fd).map(Self)
        }

        /// Waits until `deadline`. One wait at a time: dropping it and waiting anew sets the timer anew.
        pub(crate) async fn sleep_until(&mut self, deadline: Instant) {
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                if self.sleep(left).await.is_err() {
                    // Nothing that the kernel documents: late by a tick is better than never.
                    tokio::time::sleep(left).await;
                }
            }
        }

        async fn sleep(&mut self, time: Duration) -> io::Result<()> {
            let it_value = Timespec::try_from(time).map_err(|_| Errno::INVAL)?;
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            loop {
                self.0.readable().await?;
                match self.0.try_read(&mut [0; 8]) {
                    // Setting it has cleared an expiry that nobody has read: then it is waited for.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read.map(drop),
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::{io, time::Duration};

    use super::Instant;

    /// How late tokio's timer may be: it is left to wake that much too early.
    const TICK: Duration = Duration::from_millis(2);

    /// Sleeps until shortly before, then yields.
    pub(crate) struct Timer;

    impl Timer {
        /// A timer.
        ///
        /// # Errors
        ///
        /// Never here.
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits until `deadline`.
        pub(crate) async fn sleep_until(&mut self, deadline: Instant) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left > TICK {
                tokio::time::sleep(left - TICK).await;
            }
            while Instant::now() < deadline {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_is_never_early() {
        let mut timer = Timer::new().unwrap();
        for micros in [0, 1, 50, 700, 3000, 20] {
            let deadline = Instant::now() + Duration::from_micros(micros);
            timer.sleep_until(deadline).await;
            assert!(Instant::now() >= deadline);
        }
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let mut timer = Timer::new().unwrap();
        let now = Instant::now();
        tokio::select! {
            () = timer.sleep_until(now + Duration::from_secs(3600)) => unreachable!("an hour has not passed"),
            () = tokio::task::yield_now() => {}
        }
        tokio::select! {
            () = timer.sleep_until(now + Duration::from_millis(1)) => {}
            () = tokio::time::sleep(Duration::from_secs(3600)) => unreachable!("an hour has not passed"),
        }
        let deadline = Instant::now() + Duration::from_millis(5);
        timer.sleep_until(deadline).await;
        assert!(Instant::now() >= deadline);
    }
}
