//! A timer that is never early and hardly ever late. Tokio's own timer has a resolution of one millisecond.

use std::time::Instant;

#[cfg(target_os = "linux")]
pub(super) use linux::Timer;
#[cfg(not(target_os = "linux"))]
pub(super) use other::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use std::{io, time::Duration};

    use rustix::io::Errno;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;

    use super::Instant;

    /// A timerfd, registered with the worker's event loop like a pipe: it becomes readable, and each read takes eight
    /// bytes.
    pub(crate) struct Timer(Receiver);

    impl Timer {
        /// Creates a timer on the current runtime.
        ///
        /// # Errors
        ///
        /// Returns an error if no file descriptor is left.
        pub(crate) fn new() -> io::Result<Self> {
            let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            Receiver::from_owned_fd_unchecked(fd).map(Self)
        }

        /// Waits until `deadline`. Supports one wait at a time: dropping the future and calling this again sets the
        /// timer again.
        pub(crate) async fn sleep_until(&mut self, deadline: Instant) {
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                if self.sleep(left).await.is_err() {
                    // The kernel documents no such error. One tick late is better than never.
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
                    // Setting the timer cleared an earlier expiry that was not read. Wait for the new one.
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

    /// Time by which tokio's timer may be late. Sleeps end that much early to make up for it.
    const TICK: Duration = Duration::from_millis(2);

    /// A timer that sleeps until shortly before the deadline and then yields until it is reached.
    pub(crate) struct Timer;

    impl Timer {
        /// Creates a timer.
        ///
        /// # Errors
        ///
        /// Never returns an error.
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
    async fn timer_is_never_early() {
        let mut timer = Timer::new().unwrap();
        for micros in [0, 1, 50, 700, 3000, 20] {
            let deadline = Instant::now() + Duration::from_micros(micros);
            timer.sleep_until(deadline).await;
            assert!(Instant::now() >= deadline);
        }
    }

    #[tokio::test]
    async fn cancelled_wait_does_not_affect_later_waits() {
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
