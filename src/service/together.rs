//! Several futures at once on one task, so that what each of them writes becomes durable together.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// How many run at once.
const AT_ONCE: usize = 64;

/// Runs all of `futures`, a bounded number at a time, and gives their outputs in order.
pub async fn together<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs = Vec::with_capacity(futures.len());
    let mut futures = futures.into_iter();
    loop {
        let mut running: Vec<Slot<F>> = futures.by_ref().take(AT_ONCE).map(|f| Slot::Running(Box::pin(f))).collect();
        if running.is_empty() {
            return outputs;
        }
        poll_fn(|task| {
            let mut pending = false;
            for slot in &mut running {
                if let Slot::Running(future) = slot {
                    match future.as_mut().poll(task) {
                        Poll::Ready(output) => *slot = Slot::Done(output),
                        Poll::Pending => pending = true,
                    }
                }
            }
            if pending { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        outputs.extend(running.into_iter().filter_map(|slot| match slot {
            Slot::Done(output) => Some(output),
            Slot::Running(_) => None,
        }));
    }
}

enum Slot<F: Future> {
    Running(Pin<Box<F>>),
    Done(F::Output),
}

#[cfg(test)]
mod tests {
    use super::together;

    #[tokio::test]
    async fn all_are_run_and_kept_in_order() {
        let futures = (0..200_u32).map(|n| async move {
            tokio::task::yield_now().await;
            n
        });
        let all: Vec<u32> = (0..200).collect();
        assert_eq!(together(futures.collect()).await, all);
    }
}
