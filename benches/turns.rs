//! Contenders that take turns: ways to answer the same questions, timed and checked.
//!
//! Called by benches whose questions are not single `u64` keys, or whose contenders are all ways
//! of the index itself. Each turn has questions that nobody has had, drawn before the round; it
//! begins with questions that are not timed, which bring back what the contender keeps in the
//! caches; and it is timed in blocks, whose questions are copied to where reading them costs next
//! to nothing.
//!
//! Invariant: a wrong answer ends the run.

use std::time::Instant;

use crate::figure::median;

/// Questions answered in one go.
const BLOCK_QUESTIONS: usize = 5_000;

/// How turns are taken.
#[derive(Debug, Clone, Copy)]
pub struct Turns {
    /// Rounds, whose median counts.
    pub rounds: usize,
    /// Timed questions of a turn.
    pub questions: usize,
    /// Questions before those, not timed.
    pub warm_up: usize,
}

type Answering<'a, Q, A> = dyn Fn(&[Q], &mut [A]) + 'a;

/// A way to answer many questions.
pub struct Contender<'a, Q, A> {
    name: &'static str,
    answer: Box<Answering<'a, Q, A>>,
}

impl<'a, Q, A> Contender<'a, Q, A> {
    /// A contender that answers many questions together. Its name is for messages.
    pub fn many(name: &'static str, answer: impl Fn(&[Q], &mut [A]) + 'a) -> Self {
        Self { name, answer: Box::new(answer) }
    }

    /// A contender that answers them one by one.
    pub fn each(name: &'static str, answer: impl Fn(&Q) -> A + 'a) -> Self {
        Self::many(name, move |questions, answers| {
            for (question, place) in questions.iter().zip(answers) {
                *place = answer(question);
            }
        })
    }
}

impl Turns {
    /// Median nanoseconds per question of each contender; `draw` gives a question and its answer,
    /// and `no_answer` is the answer to none.
    ///
    /// # Panics
    /// If an answer is wrong.
    pub fn ns<Q: Clone, A: Clone + PartialEq>(
        &self,
        contenders: &[Contender<'_, Q, A>],
        no_answer: &A,
        mut draw: impl FnMut() -> (Q, A),
    ) -> Vec<f64> {
        let (warm_up, _): (Vec<Q>, Vec<A>) = (0..self.warm_up).map(|_| draw()).unzip();
        let mut unheeded = vec![no_answer.clone(); self.warm_up];
        let mut samples = vec![Vec::new(); contenders.len()];
        for round in 0..self.rounds {
            let pools: Vec<(Vec<Q>, Vec<A>)> =
                contenders.iter().map(|_| (0..self.questions).map(|_| draw()).unzip()).collect();
            for turn in 0..contenders.len() {
                // The first to go changes.
                let who = (round + turn) % contenders.len();
                (contenders[who].answer)(&warm_up, &mut unheeded);
                let ns = turn_ns(&contenders[who], &pools[who], no_answer);
                samples[who].push(ns / self.questions as f64);
            }
        }
        samples.iter().map(|samples| median(samples)).collect()
    }
}

/// Nanoseconds for all questions of a turn.
fn turn_ns<Q: Clone, A: Clone + PartialEq>(
    contender: &Contender<'_, Q, A>,
    (questions, right): &(Vec<Q>, Vec<A>),
    no_answer: &A,
) -> f64 {
    let mut ns = 0;
    for (questions, right) in questions.chunks(BLOCK_QUESTIONS).zip(right.chunks(BLOCK_QUESTIONS)) {
        let questions = questions.to_vec();
        let mut answers = vec![no_answer.clone(); questions.len()];
        let started = Instant::now();
        (contender.answer)(&questions, &mut answers);
        ns += started.elapsed().as_nanos();
        assert!(answers == right, "{}: a wrong answer", contender.name);
    }
    ns as f64
}

#[cfg(test)]
mod tests {
    use super::{Contender, Turns};

    const TURNS: Turns = Turns { rounds: 3, questions: 12_000, warm_up: 10 };

    fn numbers() -> impl FnMut() -> (u64, u64) {
        let mut next = 0;
        move || {
            next += 1;
            (next, next * 2)
        }
    }

    #[test]
    fn right_answers_are_timed() {
        let contenders =
            [Contender::each("each", |n: &u64| n + n), Contender::many("many", doubled)];
        let ns = TURNS.ns(&contenders, &0, numbers());
        assert!(ns.len() == 2 && ns.iter().all(|ns| *ns > 0.0), "{ns:?}");
    }

    fn doubled(questions: &[u64], answers: &mut [u64]) {
        for (question, answer) in questions.iter().zip(answers) {
            *answer = 2 * question;
        }
    }

    #[test]
    #[should_panic(expected = "lame: a wrong answer")]
    fn one_wrong_answer_ends_the_run() {
        let lame = Contender::each("lame", |n: &u64| if *n == 30_000 { 0 } else { n * 2 });
        TURNS.ns(&[lame], &0, numbers());
    }
}
