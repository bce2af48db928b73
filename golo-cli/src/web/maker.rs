//! The thread that makes views. It is one for all boards and viewers: a view of a long run takes tens of megabytes for a
//! moment, and the allocator keeps them for each thread that has made one.

use std::sync::{Arc, LazyLock, mpsc};
use std::thread;

use tokio::sync::oneshot;

use super::board::Board;

/// A board whose view is to be made, and the receiver of the news that it was.
type Request = (Arc<Board>, oneshot::Sender<()>);

/// The thread's queue. None if the thread cannot be started.
static QUEUE: LazyLock<Option<mpsc::Sender<Request>>> = LazyLock::new(|| {
    let (queue, requests) = mpsc::channel::<Request>();
    let making = move || {
        for (board, made) in requests {
            board.make_view();
            // The viewer may have gone.
            _ = made.send(());
        }
    };
    thread::Builder::new().name("golo-views".to_owned()).spawn(making).is_ok().then_some(queue)
});

/// Makes the next view of a board, if there are measurements for it, and waits for that. A view of a thousand routes takes
/// a while.
pub(super) async fn make_view(board: Arc<Board>) {
    if !board.has_offer() {
        return;
    }
    let (made, is_made) = oneshot::channel();
    if QUEUE.as_ref().is_some_and(|queue| queue.send((Arc::clone(&board), made)).is_ok()) {
        // An error means that the thread has panicked. Tokio's threads survive that.
        if is_made.await.is_ok() {
            return;
        }
    }
    _ = tokio::task::spawn_blocking(move || board.make_view()).await;
}
