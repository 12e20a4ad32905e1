//! Numbered statements, and what the database must hold after any prefix of them.
//!
//! A statement writes one *slot*: some rows with ids of their own in one of two tables, all with
//! the number of the statement and a text of one length. It fills a new slot or writes over all of
//! an old one. So a statement that is there in part is a slot with two numbers, two lengths or too
//! few rows, and a lost one is a slot that is missing or shows an older number.
//!
//! Numbers and slots are used once, also those of statements that never became durable.

use std::collections::BTreeMap;

/// The tables; a slot lies in the one that its number says.
const TABLES: [&str; 2] = ["even", "odd"];
/// Ids of a slot begin at its number times this.
const SLOT_IDS: u64 = 100_000;
/// Slots from which on old ones are written over: the database of a long run stays small.
const SLOTS_MAX: usize = 200;
/// Rows that an import adds.
const IMPORTED_ROWS: u64 = 1_500;

/// Numbers that look random and repeat with the seed.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        // Seeds that follow each other begin far apart.
        let mut random = Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..8).for_each(|_| _ = random.below(2));
        random
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What a statement wrote into its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    number: u64,
    rows: u64,
    width: u64,
}

/// The slots and what is in them.
pub(super) type Slots = BTreeMap<u64, Written>;

/// A statement that writes a slot.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    slot: u64,
    written: Written,
}

/// What the database must hold, and the statements to come.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pub(super) random: Random,
    slots: Slots,
    next_number: u64,
    next_slot: u64,
}

/// Creates the tables.
pub(super) fn create() -> String {
    let columns = "(id BIGINT PRIMARY KEY, number BIGINT NOT NULL, text TEXT NOT NULL)";
    TABLES.map(|table| format!("CREATE TABLE {table} {columns};")).concat()
}

/// Asks for all slots.
pub(super) fn query() -> String {
    let of_table = |table| {
        format!(
            "SELECT id / {SLOT_IDS}, min(number), max(number), count(*), min(octet_length(text)), \
             max(octet_length(text)) FROM {table} GROUP BY 1"
        )
    };
    TABLES.map(of_table).join(" UNION ALL ")
}

/// The answer to the query, as CSV. An error: a statement is there in part.
pub(super) fn slots(csv: &str) -> Result<Slots, String> {
    let mut slots = Slots::new();
    for line in csv.lines().skip(1) {
        let numbers: Vec<u64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let [slot, number, newest, rows, width, widest] = numbers[..] else {
            return Err(format!("unexpected line {line:?}"));
        };
        if number != newest || width != widest {
            return Err(format!("slot {slot} is of statements {number} and {newest}, in part"));
        }
        slots.insert(slot, Written { number, rows, width });
    }
    Ok(slots)
}

impl Statement {
    fn table(&self) -> &'static str {
        TABLES[self.slot as usize % 2]
    }

    fn text(&self) -> String {
        format!("{:0>1$}", self.written.number, self.written.width as usize)
    }

    fn ids(&self) -> impl Iterator<Item = u64> {
        (0..self.written.rows).map(|row| self.slot * SLOT_IDS + row)
    }

    /// The statement as SQL.
    pub(super) fn sql(&self) -> String {
        let (table, text, number) = (self.table(), self.text(), self.written.number);
        let rows: Vec<String> = self.ids().map(|id| format!("({id},{number},'{text}')")).collect();
        format!("INSERT OR REPLACE INTO {table} VALUES {};\n", rows.join(","))
    }

    /// The statement as a file to import into its table, which this names.
    pub(super) fn csv(&self) -> (&'static str, String) {
        let (text, number) = (self.text(), self.written.number);
        let rows = self.ids().map(|id| format!("{id},{number},{text}\n"));
        (self.table(), format!("id,number,text\n{}", rows.collect::<String>()))
    }
}

impl Ledger {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), slots: Slots::new(), next_number: 1, next_slot: 1 }
    }

    /// Statements that follow each other.
    pub(super) fn statements(&mut self, count: usize) -> Vec<Statement> {
        let mut planned = self.slots.clone();
        (0..count).map(|_| self.statement(&mut planned)).collect()
    }

    fn statement(&mut self, planned: &mut Slots) -> Statement {
        let random = &mut self.random;
        let short = planned.iter().filter(|(_, written)| written.rows < IMPORTED_ROWS);
        let old: Vec<u64> = short.map(|(slot, _)| *slot).collect();
        let goes_over = old.len() >= SLOTS_MAX || (!old.is_empty() && random.below(2) == 0);
        let (slot, rows) = if goes_over {
            // The first slot time and again, the others now and then.
            let chosen = if random.below(3) > 0 { 0 } else { random.below(old.len() as u64) };
            let slot = old[chosen as usize];
            (slot, planned[&slot].rows)
        } else {
            (self.next_slot, [1, 1, 7, 40][random.below(4) as usize])
        };
        // Numbers have up to seven digits; the longest texts make a statement many sectors long.
        let width = [8, 8, 30, 700][random.below(4) as usize].min(60_000 / rows);
        self.next_slot = self.next_slot.max(slot + 1);
        let written = Written { number: self.next_number, rows, width };
        self.next_number += 1;
        planned.insert(slot, written);
        Statement { slot, written }
    }

    /// Statements of 60 KB that fill new slots.
    pub(super) fn wide_statements(&mut self, count: u64) -> Vec<Statement> {
        let (slot, number) = (self.next_slot, self.next_number);
        (self.next_slot, self.next_number) = (slot + count, number + count);
        let written = |n| Written { number: number + n, rows: 40, width: 1_500 };
        (0..count).map(|n| Statement { slot: slot + n, written: written(n) }).collect()
    }

    /// A statement to be imported, into a slot of its own.
    pub(super) fn import(&mut self) -> Statement {
        let (slot, number) = (self.next_slot, self.next_number);
        let width = 8 + self.random.below(20);
        (self.next_slot, self.next_number) = (slot + 1, number + 1);
        Statement { slot, written: Written { number, rows: IMPORTED_ROWS, width } }
    }

    /// Compares what is there with what was sent since the last time, of which `acknowledged`
    /// statements were acknowledged for certain: those, and perhaps some of those that follow, up
    /// to the one that may have been `under_way`; each whole, and no other. What is there is what
    /// the next comparison begins from.
    pub(super) fn settle(
        &mut self,
        sent: &[Statement],
        acknowledged: usize,
        under_way: usize,
        shown: Slots,
    ) -> Result<(), String> {
        if acknowledged > sent.len() {
            return Err(format!("{acknowledged} acknowledgements of {} statements", sent.len()));
        }
        let (certain, possible) = sent.split_at(acknowledged);
        let mut state = self.slots.clone();
        state.extend(certain.iter().map(|statement| (statement.slot, statement.written)));
        let expected = state.clone();
        let mut possible = possible.iter().take(under_way.saturating_sub(acknowledged));
        while shown != state {
            let Some(next) = possible.next() else {
                return Err(format!(
                    "after {acknowledged} of {} statements were acknowledged: {}",
                    sent.len(),
                    difference(&expected, &shown)
                ));
            };
            state.insert(next.slot, next.written);
        }
        self.slots = shown;
        Ok(())
    }
}

/// The first few slots that are not as expected.
fn difference(expected: &Slots, shown: &Slots) -> String {
    let slots = expected.keys().chain(shown.keys().filter(|slot| !expected.contains_key(slot)));
    let differing = slots.filter(|slot| expected.get(slot) != shown.get(slot));
    let words = differing.map(|slot| {
        format!("slot {slot}: expected {:?}, found {:?}", expected.get(slot), shown.get(slot))
    });
    words.take(5).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_lost_or_halved_statement_is_found() {
    let mut ledger = Ledger::new(5);
    let sent = ledger.statements(40);
    let state =
        |count: usize| -> Slots { sent[..count].iter().map(|s| (s.slot, s.written)).collect() };
    let settled = |count, shown| Ledger::new(5).settle(&sent, count, count + 1, shown);
    assert_eq!(settled(20, state(20)), Ok(()));
    assert_eq!(settled(20, state(21)), Ok(()));
    // The last one is lost, or an older one; one is there that was not under way yet.
    assert!(settled(20, state(19)).is_err());
    assert!(settled(20, state(22)).is_err());
    let mut lost = state(20);
    lost.pop_first();
    assert!(settled(20, lost).is_err());
    // A row is missing.
    let mut halved = state(20);
    halved.values_mut().last().unwrap().rows -= 1;
    assert!(settled(20, halved).is_err());
    // Rows of two statements in one slot.
    assert!(slots("header\n7,3,3,40,8,8\n").is_ok());
    assert!(slots("header\n7,3,4,40,8,8\n").is_err());
    assert!(slots("header\n7,3,3,40,8,9\n").is_err());
}
