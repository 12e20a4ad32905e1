//! Runs a test under many schedules of its threads, each made from a seed.
//!
//! Of the threads of a test one runs at a time. At every *point* (a lock is taken or given back, an
//! atomic is touched, a future waits, or the test says so) a seeded choice decides who goes on. So
//! what happens is a matter of the seed alone and can be repeated, and a test that waits for ever
//! ends: when nobody can go on, that is a failure. Memory is as if there was one processor: it
//! finds wrong orders of steps, not missing barriers.
//!
//! Included by path in the tests of the crates whose threads are examined. They compile a file of
//! the product once more, with [`sync`] in the place of `std::sync`. Outside of [`explore`] all of
//! it behaves like `std`.

#![allow(dead_code, reason = "each of the crates that include this uses another part")]

pub mod sync;

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;

/// Points after which a schedule is taken for one that never ends.
const POINTS_MAX: u64 = 200_000;

/// What a thread says that ends because another one failed.
const FOLLOWS: &str = "another thread of the schedule failed";

thread_local! {
    static CURRENT: RefCell<Option<(Arc<Baton>, usize)>> = const { RefCell::new(None) };
}

/// What the threads of a schedule hand on.
struct Baton(Mutex<State>);

struct State {
    dice: u64,
    /// In how many of 100 points a thread goes on that could.
    stays: u64,
    threads: Vec<Thread>,
    running: usize,
    points: u64,
    failure: Option<String>,
    handles: Vec<JoinHandle<()>>,
}

struct Thread {
    status: Status,
    /// Woken before it waited.
    permit: bool,
    turn: Arc<Condvar>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Ready,
    Waiting,
    Done,
}

/// Runs `test` under so many schedules; `OMEN_SCHEDULES=50` asks for fifty times as many,
/// `OMEN_SCHEDULES_SEED=7` for that one alone.
///
/// # Panics
/// At the first schedule that fails, naming its seed.
pub fn explore(schedules: u64, test: impl Fn() + Send + Sync + 'static) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("OMEN_SCHEDULES_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + schedules * number("OMEN_SCHEDULES").unwrap_or(1),
    };
    if let Some((seed, failure)) = first_failure(seeds, test) {
        panic!("OMEN_SCHEDULES_SEED={seed} repeats it: {failure}");
    }
}

/// The first of these seeds whose schedule fails, and how.
pub fn first_failure(
    mut seeds: std::ops::Range<u64>,
    test: impl Fn() + Send + Sync + 'static,
) -> Option<(u64, String)> {
    let test = Arc::new(test);
    seeds.find_map(|seed| {
        let test = Arc::clone(&test);
        run(seed, move || test()).map(|failure| (seed, failure))
    })
}

/// Runs one schedule; how it failed, if it did.
fn run(seed: u64, test: impl FnOnce() + Send + 'static) -> Option<String> {
    let baton = Arc::new(Baton(Mutex::new(State {
        dice: seed,
        // Few changes find other things than many do.
        stays: [0, 50, 80, 95][seed as usize % 4],
        threads: Vec::new(),
        running: 0,
        points: 0,
        failure: None,
        handles: Vec::new(),
    })));
    baton.start(test);
    loop {
        let handle = baton.lock().handles.pop();
        match handle {
            Some(handle) => drop(handle.join()),
            None => break,
        }
    }
    baton.lock().failure.take()
}

impl Baton {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a thread; it runs when it is chosen.
    fn start(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) -> usize {
        let mut state = self.lock();
        let me = state.threads.len();
        let thread = Thread { status: Status::Ready, permit: false, turn: Arc::default() };
        state.threads.push(thread);
        let baton = Arc::clone(self);
        state.handles.push(std::thread::spawn(move || {
            CURRENT.with(|current| *current.borrow_mut() = Some((Arc::clone(&baton), me)));
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                baton.await_turn(me);
                work();
            }));
            if let Err(panic) = outcome {
                baton.fail(message_of(&*panic));
            }
            let mut state = baton.lock();
            state.threads[me].status = Status::Done;
            state.hand_on(me);
        }));
        me
    }

    /// A point: whoever is chosen goes on.
    fn pass(&self, me: usize, status: Status) {
        let mut state = self.lock();
        state.threads[me].status = status;
        state.points += 1;
        if state.points > POINTS_MAX {
            state.fail(format!("not at an end after {POINTS_MAX} points"));
        }
        state.hand_on(me);
        drop(state);
        self.await_turn(me);
    }

    fn await_turn(&self, me: usize) {
        let mut state = self.lock();
        let turn = Arc::clone(&state.threads[me].turn);
        while state.running != me && state.failure.is_none() {
            state = turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let failed = state.failure.is_some();
        drop(state);
        // Whoever unwinds gives back what it has, and waits for nobody.
        if failed && !std::thread::panicking() {
            panic!("{FOLLOWS}");
        }
    }

    fn fail(&self, failure: String) {
        self.lock().fail(failure);
    }
}

impl State {
    fn fail(&mut self, failure: String) {
        self.failure.get_or_insert(failure);
        self.threads.iter().for_each(|thread| thread.turn.notify_one());
    }

    /// Chooses who runs next.
    fn hand_on(&mut self, me: usize) {
        let is_ready = |i: &usize| self.threads[*i].status == Status::Ready;
        let ready: Vec<usize> = (0..self.threads.len()).filter(is_ready).collect();
        if ready.is_empty() {
            if self.threads.iter().any(|thread| thread.status == Status::Waiting) {
                self.fail("all threads wait for one another".to_string());
            }
            return;
        }
        let stays = self.below(100) < self.stays;
        self.running = match ready.contains(&me) && stays {
            true => me,
            false => ready[self.below(ready.len() as u64) as usize],
        };
        self.threads[self.running].turn.notify_one();
    }

    /// Splitmix64.
    fn below(&mut self, bound: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

fn current() -> Option<(Arc<Baton>, usize)> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// A point.
pub fn pause() {
    if let Some((baton, me)) = current() {
        baton.pass(me, Status::Ready);
    }
}

/// A number below `bound`, by the schedule.
pub fn chosen(bound: u64) -> u64 {
    current().map_or(0, |(baton, _)| baton.lock().below(bound))
}

/// Waits until somebody wakes this thread; may return before. False outside of a schedule.
fn park() -> bool {
    let Some((baton, me)) = current() else { return false };
    let permit = std::mem::take(&mut baton.lock().threads[me].permit);
    baton.pass(me, if permit { Status::Ready } else { Status::Waiting });
    true
}

/// Who waits, to be woken.
#[derive(Clone)]
struct Parked(Arc<Baton>, usize);

impl Parked {
    fn me() -> Option<Self> {
        current().map(|(baton, me)| Self(baton, me))
    }

    fn wake(&self) {
        let mut state = self.0.lock();
        let thread = &mut state.threads[self.1];
        match thread.status {
            Status::Waiting => thread.status = Status::Ready,
            Status::Ready => thread.permit = true,
            Status::Done => {}
        }
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        Parked::wake(&self);
    }
}

/// A thread of the schedule.
pub struct Spawned<T> {
    outcome: Arc<sync::Mutex<(Option<T>, Vec<Parked>)>>,
}

/// Starts a thread of the schedule; only within one.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Spawned<T> {
    let (baton, _) = current().expect("a schedule");
    let outcome = Arc::new(sync::Mutex::new((None, Vec::new())));
    let slot = Arc::clone(&outcome);
    baton.start(move || {
        let value = work();
        let mut slot = slot.lock().unwrap();
        slot.0 = Some(value);
        std::mem::take(&mut slot.1).iter().for_each(Parked::wake);
    });
    pause();
    Spawned { outcome }
}

impl<T> Spawned<T> {
    /// Waits until it is at its end.
    pub fn join(self) -> T {
        loop {
            {
                let mut outcome = self.outcome.lock().unwrap();
                if let Some(value) = outcome.0.take() {
                    return value;
                }
                outcome.1.extend(Parked::me());
            }
            park();
        }
    }
}

/// Drives a future on this thread.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let waker = Parked::me().map_or(Waker::noop().clone(), |me| Waker::from(Arc::new(me)));
    loop {
        if let Poll::Ready(value) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        assert!(park(), "a future waits outside of a schedule");
    }
}

/// Polls a future once and drops it.
pub fn poll_once<T>(work: impl Future<Output = T>) -> Option<T> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Waits once, or not, by the schedule: another thread may go on with the same future.
pub async fn suspend() {
    pause();
    let mut left = chosen(2);
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
