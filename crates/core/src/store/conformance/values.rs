//! The index of values: numbers before strings, strings by their UTF-16 code units, as many entries as a row has.

use super::{Backend, write};
use crate::{
    collections::Record,
    store::{
        IndexValue::{self, Number, Text},
        Scope, Tx,
    },
};

pub(super) async fn records_are_in_the_order_of_their_values_as_long_as_they_have_them<B: Backend>(backend: &B) {
    let text = |text: &str| Text(text.to_owned());
    // A code point beyond U+FFFF is of surrogates, and so before U+E000.
    let values: [IndexValue; 13] = [
        Number(f64::MIN),
        Number(-1.5),
        Number(0.0),
        Number(0.1 + 0.2),
        Number(2_f64.powi(53)),
        Number(1e300),
        text(""),
        text("\0"),
        text("A"),
        text("a"),
        text("ab"),
        text("\u{1f426}"),
        text("\u{e000}"),
    ];
    let named = |number: usize| {
        let mut record = Record::new("notes", "ada", &format!("{number:02}"), 1);
        record.local = Some("{}".to_owned());
        record
    };
    write(backend, Scope::RECORDS, async |tx| {
        for (number, value) in values.iter().enumerate().rev() {
            let mut record = named(number);
            record.values = vec![vec![text("byValue"), value.clone()]];
            tx.put(&record)?;
        }
        Ok(())
    })
    .await;
    let ids: Vec<String> = (0..values.len()).map(|number| named(number).id).collect();
    assert_eq!(backend.by_value().await, ids);
    // Further values of an entry count after the first; a shorter entry comes before those that go on. Rows without come nowhere.
    write(backend, Scope::RECORDS, async |tx| {
        for number in 4..values.len() {
            tx.put(&named(number))?;
        }
        for (number, entries) in [(0, [2.0, 7.0]), (1, [1.0, 9.0]), (2, [1.0, 8.0])] {
            let mut record = named(number);
            let [first, second] = entries.map(Number);
            record.values = vec![vec![text("byTwo"), first, second]];
            if number == 2 {
                record.values.push(vec![text("byTwo")]);
            }
            tx.put(&record)?;
        }
        tx.delete::<Record>(&crate::store::Keyed::key(&named(3)))
    })
    .await;
    assert_eq!(backend.by_value().await, ["02", "02", "01", "00"]);
}
