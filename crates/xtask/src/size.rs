//! Prints what each file of `dist/` weighs, and holds it against the budget.

use std::{collections::BTreeMap, fs, io::Write, path::Path};

use crate::{Outcome, run::root};

/// Brotli bytes: (what, files, aim, at most). What is over its aim has a budget at today's size: lower it with every
/// saving, and raise it for a reason that CHANGELOG gives.
const BUDGETS: [(&str, &[&str], usize, usize); 5] = [
    ("worker", &["worker.js", "worker.wasm"], 100 * 1024, 242_000),
    ("full worker", &["worker.js", "worker-full.wasm"], 100 * 1024, 325_500),
    ("page", &["page.js", "page.wasm"], 25 * 1024, 57_700),
    ("forms", &["forms.js"], 6 * 1024, 7_000),
    ("tanstack-db", &["tanstack-db.js"], 2 * 1024, 2 * 1024),
];

/// Prints the table; with `check`, fails when a budget is passed.
pub fn report(check: bool) -> Outcome {
    let dist = root().join("dist");
    let mut weighed = BTreeMap::new();
    println!("{:<16} {:>9} {:>9} {:>9}", "dist/", "raw", "gzip", "brotli");
    for name in
        ["worker.js", "worker.mjs", "worker.wasm", "worker-full.wasm", "page.js", "page.wasm", "forms.js", "tanstack-db.js"]
    {
        let (raw, gzip, brotli) = sizes(&dist.join(name))?;
        println!("{name:<16} {raw:>9} {gzip:>9} {brotli:>9}");
        weighed.insert(name, brotli);
    }
    let mut over = Vec::new();
    for (what, files, aim, limit) in BUDGETS {
        let total: usize = files.iter().filter_map(|file| weighed.get(file)).sum();
        println!("{what}: {total} bytes brotli; aim {aim}, at most {limit}");
        if total > limit {
            over.push(what);
        }
    }
    if check && !over.is_empty() {
        return Err(format!("over budget: {}", over.join(", ")).into());
    }
    Ok(())
}

fn sizes(path: &Path) -> Outcome<(usize, usize, usize)> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}; run `make build`", path.display()))?;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&bytes)?;
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut bytes.as_slice(), &mut compressed, &brotli::enc::BrotliEncoderParams::default())?;
    Ok((bytes.len(), gzip.finish()?.len(), compressed.len()))
}
