//! Where the boxes of a graph stand: in layers from left to right, each right of all that it needs.

/// Width and height of a box.
pub(super) const NODE: (f64, f64) = (212.0, 52.0);
/// Space between layers and between the boxes of one.
pub(super) const GAP: (f64, f64) = (56.0, 14.0);
/// Width of the two ends of the graph.
pub(super) const END: f64 = 64.0;
/// A layer with more boxes becomes a block of several columns: nobody scrolls past two hundred boxes.
const ROWS: usize = 8;
/// Space around the boxes of a block.
const PAD: f64 = 12.0;

pub(super) type Point = (f64, f64);

/// Where everything stands.
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// The boxes, by index of their node.
    pub(super) places: Vec<Place>,
    /// Frames around layers that became blocks: left, top, width, height.
    pub(super) blocks: Vec<(f64, f64, f64, f64)>,
}

/// Where a box stands, and where its edges end: at the frame, if it stands in a block.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) left: Point,
    pub(super) right: Point,
}

/// Places nodes by the indices of what each needs.
pub(super) fn place(needs: &[Vec<usize>]) -> Layout {
    let layers = layers(needs);
    let tallest = layers
        .iter()
        .map(|layer| layer.len().min(ROWS))
        .max()
        .unwrap_or(0)
        .max(1);
    let crowded = layers.iter().any(|layer| layer.len() > ROWS);
    let pad = if crowded { PAD } else { 0.0 };
    let height = f(tallest) * (NODE.1 + GAP.1) - GAP.1 + 2.0 * pad + 8.0;
    let middle = height / 2.0;
    let mut places = vec![Place::default(); needs.len()];
    let mut blocks = Vec::new();
    let mut x = END + GAP.0;
    for layer in &layers {
        let (rows, columns) = (layer.len().min(ROWS), layer.len().div_ceil(ROWS));
        let pad = if columns > 1 { PAD } else { 0.0 };
        let tall = f(rows) * (NODE.1 + GAP.1) - GAP.1;
        let wide = f(columns) * (NODE.0 + GAP.1) - GAP.1 + 2.0 * pad;
        let top = middle - tall / 2.0;
        for (at, node) in layer.iter().enumerate() {
            let (column, row) = (at / ROWS, at % ROWS);
            let (left, y) = (x + pad + f(column) * (NODE.0 + GAP.1), top + f(row) * (NODE.1 + GAP.1));
            let line = if columns > 1 { middle } else { y + NODE.1 / 2.0 };
            places[*node] = Place {
                x: left,
                y,
                left: (x, line),
                right: (x + wide, line),
            };
        }
        if columns > 1 {
            blocks.push((x, top - pad, wide, tall + 2.0 * pad));
        }
        x += wide + GAP.0;
    }
    Layout {
        width: x + END,
        height,
        places,
        blocks,
    }
}

/// Nodes by layer: each as far left as what it needs allows. Within a layer in the order of what they need, so that few
/// edges cross.
fn layers(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut depth = vec![0_usize; needs.len()];
    // A plan has no circles; of one that has, the depth stops growing with the number of rounds.
    for _ in 0..needs.len() {
        let mut changed = false;
        for (node, list) in needs.iter().enumerate() {
            let least = list
                .iter()
                .map(|need| depth[*need] + 1)
                .max()
                .unwrap_or(0)
                .min(needs.len());
            if least > depth[node] {
                depth[node] = least;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); depth.iter().max().map_or(0, |most| most + 1)];
    for (node, depth) in depth.iter().enumerate() {
        layers[*depth].push(node);
    }
    layers.retain(|layer| !layer.is_empty());
    let mut place = vec![0.0; needs.len()];
    for layer in &mut layers {
        let weight = |node: usize| {
            let list = &needs[node];
            list.iter().map(|need| place[*need]).sum::<f64>() / f(list.len().max(1))
        };
        let mut weighed: Vec<(f64, usize)> = layer.iter().map(|node| (weight(*node), *node)).collect();
        weighed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        *layer = weighed.into_iter().map(|(_, node)| node).collect();
        let middle = f(layer.len()) / 2.0;
        for (row, node) in layer.iter().enumerate() {
            place[*node] = f(row) - middle;
        }
    }
    layers
}

#[expect(clippy::cast_precision_loss, reason = "counts of boxes")]
fn f(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_stands_right_of_all_it_needs() {
        // a -> b -> d, a -> c -> d
        let needs = vec![vec![], vec![0], vec![0], vec![1, 2]];
        assert_eq!(layers(&needs), [vec![0], vec![1, 2], vec![3]]);
        let layout = place(&needs);
        for (node, list) in needs.iter().enumerate() {
            assert!(
                list.iter()
                    .all(|need| layout.places[*need].right.0 < layout.places[node].left.0)
            );
        }
    }

    #[test]
    fn steps_stand_in_the_order_of_what_they_need() {
        // 2 needs 1 and 3 needs 0: placed so that the edges do not cross.
        let needs = vec![vec![], vec![], vec![1], vec![0]];
        assert_eq!(layers(&needs), [vec![0, 1], vec![3, 2]]);
    }

    #[test]
    fn a_circle_and_two_hundred_steps_have_a_place() {
        assert_eq!(place(&[vec![1], vec![0]]).places.len(), 2);
        let wide = place(&vec![Vec::new(); 200]);
        assert_eq!(wide.blocks.len(), 1);
        assert!(wide.height < 600.0, "{}", wide.height);
        assert!(
            wide.places
                .iter()
                .all(|one| one.x > 0.0 && one.x + NODE.0 < wide.width && one.y >= 0.0)
        );
        assert!(place(&[]).places.is_empty());
    }

    #[test]
    fn no_two_boxes_lie_on_each_other() {
        let needs: Vec<Vec<usize>> = (0..60_usize)
            .map(|n| if n < 20 { vec![] } else { vec![n % 20, (n * 7) % 20] })
            .collect();
        let places = place(&needs).places;
        for (n, one) in places.iter().enumerate() {
            for other in &places[n + 1..] {
                let apart = (one.x - other.x).abs() >= NODE.0 || (one.y - other.y).abs() >= NODE.1;
                assert!(apart, "{n}");
            }
        }
    }
}
