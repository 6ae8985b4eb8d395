//! A graph of steps: from the target at the left to the report at the right.

use std::collections::{BTreeMap, HashMap};

use maud::{Markup, html};

use super::at;
use super::layout::{END, NODE, Place, Point, place};
use crate::parts::{picture, step_icon};
use crate::text::short;
use crate::time::counted;
use crate::words::StepState;

/// One step.
pub(crate) struct Node<'a> {
    /// Unique in the graph.
    pub(crate) id: &'a str,
    /// What stands under the id.
    pub(crate) under: String,
    /// Ids of the nodes before it; those that are not in the graph are left out.
    pub(crate) needs: &'a [String],
    /// Where it stands; none in a plan that does not run.
    pub(crate) state: Option<StepState>,
    /// Where more about it is.
    pub(crate) href: String,
}

/// Draws it. The parts that move are the edges of steps that run.
pub(crate) fn graph(label: &str, nodes: &[Node<'_>]) -> Markup {
    let needs = needs_of(nodes);
    let layout = place(&needs);
    let middle = layout.height / 2.0;
    let end = (layout.width - END, middle);
    html! {
        div.graph tabindex="0" role="region" aria-label=(label) {
            svg width=(at(layout.width)) height=(at(layout.height)) viewBox=(format!("0 0 {} {}", at(layout.width), at(layout.height)))
                role="group" aria-label=(counted(nodes.len() as u64, "step", "steps")) {
                @for (path, state) in edges(nodes, &needs, &layout.places, (END, middle), end) {
                    path class={ "edge edge-" (state.map_or("plan", StepState::name)) } d=(path) {}
                }
                (terminal(0.0, middle, "Target"))
                (terminal(end.0, middle, "Report"))
                @for (x, y, width, height) in &layout.blocks {
                    rect.block x=(at(*x)) y=(at(*y)) width=(at(*width)) height=(at(*height)) rx="12" {}
                }
                @for (node, place) in nodes.iter().zip(&layout.places) { (drawn(node, *place)) }
            }
        }
    }
}

/// The edges, each once. One that stands for several, since they end at the same block, shows the liveliest.
fn edges(
    nodes: &[Node<'_>],
    needs: &[Vec<usize>],
    places: &[Place],
    start: Point,
    end: Point,
) -> BTreeMap<String, Option<StepState>> {
    let mut edges: BTreeMap<String, Option<StepState>> = BTreeMap::new();
    let mut add = |from: Point, to: Point, state: Option<StepState>| {
        let edge = edges.entry(curve(from, to)).or_insert(state);
        if state == Some(StepState::Running) {
            *edge = state;
        }
    };
    let open = |node: &Node<'_>| matches!(node.state, Some(StepState::Pending | StepState::Running));
    let last = nodes
        .iter()
        .any(|node| node.state.is_some())
        .then_some(if nodes.iter().any(open) {
            StepState::Pending
        } else {
            StepState::Completed
        });
    for (i, node) in nodes.iter().enumerate() {
        if needs[i].is_empty() {
            add(start, places[i].left, node.state);
        }
        for need in &needs[i] {
            add(places[*need].right, places[i].left, node.state);
        }
        if !needs.iter().any(|list| list.contains(&i)) {
            add(places[i].right, end, last);
        }
    }
    edges
}

fn curve(from: Point, to: Point) -> String {
    let bend = ((to.0 - from.0) / 2.0).max(20.0);
    format!(
        "M{} {}C{} {} {} {} {} {}",
        at(from.0),
        at(from.1),
        at(from.0 + bend),
        at(from.1),
        at(to.0 - bend),
        at(to.1),
        at(to.0),
        at(to.1)
    )
}

fn terminal(x: f64, middle: f64, label: &str) -> Markup {
    html! {
        g.terminal {
            rect x=(at(x + 1.0)) y=(at(middle - 15.0)) width=(at(END - 2.0)) height="30" rx="15" {}
            text x=(at(x + END / 2.0)) y=(at(middle + 4.0)) text-anchor="middle" { (label) }
        }
    }
}

fn drawn(node: &Node<'_>, place: Place) -> Markup {
    let (class, word) = node.state.map_or(("plan", ""), |state| (state.name(), state.label()));
    // Read aloud, the link is what can be seen in it; the state is only a picture, so it comes as words.
    let whole = format!("{} {} {word}", node.id, node.under);
    let (x, y) = (place.x, place.y);
    let (text_x, room) = if node.state.is_some() {
        (x + 42.0, 18)
    } else {
        (x + 16.0, 21)
    };
    html! {
        a href=(node.href) {
            g class={ "node st-" (class) } {
                title { (short(whole.trim(), 200)) }
                rect.node-box x=(at(x + 0.5)) y=(at(y + 0.5)) width=(at(NODE.0 - 1.0)) height=(at(NODE.1 - 1.0)) rx="8" {}
                @if let Some(state) = node.state {
                    svg.node-icon x=(at(x + 12.0)) y=(at(y + 16.0)) width="20" height="20" viewBox="0 0 24 24" {
                        path d=(picture(step_icon(state))) {}
                    }
                }
                text.node-name x=(at(text_x)) y=(at(y + 22.0)) { (short(node.id, room)) }
                text.node-under x=(at(text_x)) y=(at(y + 39.0)) { (short(&node.under, room + 2)) }
            }
        }
    }
}

/// Indices of the nodes that each node needs.
fn needs_of(nodes: &[Node<'_>]) -> Vec<Vec<usize>> {
    let by_id: HashMap<&str, usize> = nodes.iter().enumerate().map(|(i, node)| (node.id, i)).collect();
    nodes
        .iter()
        .enumerate()
        .map(|(i, node)| {
            let known = node.needs.iter().filter_map(|need| by_id.get(need.as_str()).copied());
            known.filter(|need| *need != i).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node<'a>(id: &'a str, needs: &'a [String], state: Option<StepState>) -> Node<'a> {
        Node {
            id,
            under: String::new(),
            needs,
            state,
            href: String::new(),
        }
    }

    #[test]
    fn a_need_that_is_not_there_is_left_out() {
        let needs = ["gone".to_owned(), "b".to_owned()];
        assert_eq!(
            needs_of(&[node("a", &needs, None), node("b", &[], None)]),
            [vec![1], vec![]]
        );
    }

    #[test]
    fn many_steps_that_wait_for_nothing_share_one_edge_that_moves_if_one_of_them_runs() {
        let ids: Vec<String> = (0..30).map(|n| format!("s{n}")).collect();
        let state = |n: usize| {
            Some(if n == 17 {
                StepState::Running
            } else {
                StepState::Completed
            })
        };
        let nodes: Vec<Node<'_>> = ids.iter().enumerate().map(|(n, id)| node(id, &[], state(n))).collect();
        let html = graph("g", &nodes).into_string();
        assert_eq!(html.matches("class=\"edge").count(), 2, "{html}");
        assert!(html.contains("edge-running") && html.contains("edge-pending"));
    }

    #[test]
    fn a_graph_without_steps_is_drawn() {
        assert!(!graph("g", &[]).into_string().contains("NaN"));
    }
}
