//! How much memory everything takes (P5).

use guildhall::authz::Engine;

use crate::shape::Shape;
use crate::{heading, row};

/// Reads how much of this process is in memory.
pub fn resident_bytes() -> usize {
    const PAGE_BYTES: usize = 4_096;
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * PAGE_BYTES
}

/// Prints what the organizations of a shape take; `before` is what the process took without them.
pub fn report(engine: &Engine, shape: Shape, before: usize) {
    let all = shape.organizations as usize;
    let (members, resources) = (shape.members as usize * all, shape.resources as usize * all);
    let grants = (shape.members + shape.groups + 1) as usize * all;
    let id_bytes = resources * 10;
    heading(&format!("memory: {all} organizations, {members} memberships, {grants} grants, {resources} resources"));
    row("nothing loaded, resident", &mega(before), "", "≤ 60 MB");
    for part in engine.memory_parts() {
        let (count, target) = match part.noun {
            "membership" => (members, "≤ 64 B"),
            "grant" => (grants, "≤ 24 B"),
            "resource" => (resources, "≤ 96 B"),
            "group" => (shape.groups as usize * all, ""),
            _ => (all, "≤ 1.5 KB"),
        };
        let bytes = if part.noun == "resource" { part.bytes - id_bytes } else { part.bytes };
        let each = bytes as f64 / count as f64;
        row(&format!("each {}", part.noun), &format!("{each:.1} B"), "", target);
    }
    let sum = 64 * members + 24 * grants + 96 * resources + id_bytes + 1_536 * all;
    let resident = resident_bytes() - before;
    row("what the index says it takes", &mega(engine.bytes()), "", "");
    let ratio = format!("{:.2}", resident as f64 / sum as f64);
    row("resident, beside the sum of what is allowed each", &mega(resident), &ratio, "≤ 1.30");
}

fn mega(bytes: usize) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
