//! The bindings that authors use are of the WIT that the host uses.

#[test]
fn the_guests_bindings_are_made_from_the_wit_as_it_stands() {
    let wit = include_bytes!("../../guest/wit/workflow.wit");
    let bindings = include_str!("../../guest/src/bindings.rs");
    let first = bindings.lines().next().unwrap();
    let wanted = blake3::hash(wit).to_hex();
    assert!(
        first.contains(wanted.as_str()),
        "the WIT changed ({wanted}); make the bindings anew, as crates/guest/README.md says"
    );
}
