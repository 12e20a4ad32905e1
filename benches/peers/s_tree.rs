//! A static S+-tree: the fastest search tree over sorted keys that knows nothing of their
//! distribution, and so the limit that a model has to beat.
//!
//! Nodes hold 16 keys, two cache lines, and are laid out layer by layer without pointers: child
//! `i` of node `k` is node `17 k + i` of the layer below. Key `i` of an inner node is the largest
//! key below its child `i`, so the number of its keys below the wanted one names the child that
//! holds the lower bound. The bottom layer is the sorted keys themselves. A node is searched by
//! two comparisons of eight keys and a count of bits, without a branch.
//!
//! Invariants: the last child that exists of an inner node has the key `u64::MAX`, as have all
//! places after it, so no search leaves the tree; unused places of the bottom layer hold
//! `u64::MAX`, which is below no key.

#![allow(unsafe_code, reason = "the comparisons are intrinsics on pointers")]

use std::hint::select_unpredictable;

use super::{Contender, one_after_another, one_by_one, prefetch};
use crate::workload::{MISS, Probes};

/// Keys of a node.
const WIDTH: usize = 16;
/// Lookups that go down a batch together.
const GROUP: usize = 128;
/// Nodes at the top that are not asked for ahead: 32 KB.
const CACHED_NODES: usize = 256;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(128))]
struct Node([u64; WIDTH]);

/// Keys in a static S+-tree.
#[derive(Debug, Clone)]
pub struct STree {
    /// All layers, the top one first.
    nodes: Vec<Node>,
    /// Where each layer begins.
    layers: Vec<usize>,
    key_count: usize,
    has_avx512: bool,
}

impl STree {
    /// Built from sorted keys, at least one.
    pub fn new(keys: &[u64]) -> Self {
        // Nodes of each layer, the bottom one first.
        let mut width = keys.len().div_ceil(WIDTH);
        let mut widths = vec![width];
        while width > 1 {
            width = width.div_ceil(WIDTH + 1);
            widths.push(width);
        }
        let mut nodes = Vec::with_capacity(widths.iter().sum());
        let mut layers = Vec::with_capacity(widths.len());
        for (height, &width) in widths.iter().enumerate().rev() {
            layers.push(nodes.len());
            match height.checked_sub(1) {
                Some(below) => {
                    // Keys of the bottom layer under one child.
                    let span = WIDTH * (WIDTH + 1).pow(below as u32);
                    let children = widths[below];
                    nodes.extend((0..width).map(|node| inner(keys, node, span, children)));
                }
                None => nodes.extend(keys.chunks(WIDTH).map(bottom)),
            }
        }
        Self { nodes, layers, key_count: keys.len(), has_avx512: has_avx512() }
    }

    /// The same tree, searched as on processors without the comparisons.
    #[cfg(test)]
    pub(super) fn without_avx512(self) -> Self {
        Self { has_avx512: false, ..self }
    }

    /// Bytes of the layers above the keys.
    pub fn overhead_bytes(&self) -> usize {
        self.layers.last().copied().unwrap_or(0) * size_of::<Node>()
    }

    /// The position, if it holds `key`.
    #[inline(always)]
    fn checked(&self, position: usize, key: u64) -> usize {
        let bottom = self.layers[self.layers.len() - 1];
        let node = self.nodes.get(bottom + position / WIDTH);
        let holds = node.is_some_and(|node| node.0[position % WIDTH] == key);
        select_unpredictable(holds & (position < self.key_count), position, MISS)
    }

    /// One lookup on processors without the comparisons; also what they are tested against.
    fn lower_bound_plain(&self, key: u64) -> usize {
        let rank = |node: &Node| node.0.iter().filter(|&&k| k < key).count();
        let Some((bottom, inner)) = self.layers.split_last() else { return 0 };
        let mut node = 0;
        for layer in inner {
            node = node * (WIDTH + 1) + rank(&self.nodes[layer + node]);
        }
        node * WIDTH + rank(&self.nodes[bottom + node])
    }
}

impl Contender for STree {
    fn name(&self) -> &'static str {
        "S+-tree"
    }

    fn find(&self, key: u64) -> usize {
        #[cfg(target_arch = "x86_64")]
        if self.has_avx512 {
            // SAFETY: the processor has what the function needs.
            return self.checked(unsafe { self.lower_bound_avx512(key) }, key);
        }
        self.checked(self.lower_bound_plain(key), key)
    }

    fn independent(&self, probes: Probes<'_>, answers: &mut [usize]) {
        #[cfg(target_arch = "x86_64")]
        if self.has_avx512 {
            // SAFETY: the processor has what the function needs.
            return unsafe { self.independent_avx512(probes.keys, answers) };
        }
        one_by_one(self, probes, answers);
    }

    fn dependent(&self, probes: Probes<'_>, answers: &mut [usize]) {
        #[cfg(target_arch = "x86_64")]
        if self.has_avx512 {
            // SAFETY: the processor has what the function needs.
            return unsafe { self.dependent_avx512(probes.keys, answers) };
        }
        one_after_another(self, probes, answers);
    }

    fn batched(&self, probes: Probes<'_>, answers: &mut [usize]) -> bool {
        #[cfg(target_arch = "x86_64")]
        if self.has_avx512 {
            for (keys, answers) in probes.keys.chunks(GROUP).zip(answers.chunks_mut(GROUP)) {
                // SAFETY: the processor has what the function needs.
                unsafe { self.batched_avx512(keys, answers) };
            }
            return true;
        }
        false
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512i, _mm512_cmplt_epu64_mask, _mm512_load_si512, _mm512_set1_epi64,
    };

    use std::hint::black_box;

    use super::{CACHED_NODES, GROUP, Node, STree, WIDTH, prefetch};

    /// How many keys of a node are below the wanted one.
    #[inline]
    #[target_feature(enable = "avx512f,popcnt")]
    fn rank(node: &Node, wanted: __m512i) -> usize {
        let first = node.0.as_ptr();
        // SAFETY: a node is two times eight keys, aligned to 128 bytes.
        let (low, high) =
            unsafe { (_mm512_load_si512(first.cast()), _mm512_load_si512(first.add(8).cast())) };
        let below_low = u32::from(_mm512_cmplt_epu64_mask(low, wanted));
        let below_high = u32::from(_mm512_cmplt_epu64_mask(high, wanted));
        (below_low | below_high << 8).count_ones() as usize
    }

    impl STree {
        /// A node of a layer.
        #[inline(always)]
        fn node(&self, layer: usize, node: usize) -> &Node {
            debug_assert!(layer + node < self.nodes.len());
            // SAFETY: by the invariants of the tree no search leaves a layer.
            unsafe { self.nodes.get_unchecked(layer + node) }
        }

        #[inline]
        #[target_feature(enable = "avx512f,popcnt")]
        pub(super) fn lower_bound_avx512(&self, key: u64) -> usize {
            let wanted = _mm512_set1_epi64(key.cast_signed());
            let Some((bottom, inner)) = self.layers.split_last() else { return 0 };
            let mut node = 0;
            for layer in inner {
                node = self.child(*layer, node, key);
            }
            node * WIDTH + rank(self.node(*bottom, node), wanted)
        }

        #[target_feature(enable = "avx512f,popcnt")]
        pub(super) fn independent_avx512(&self, keys: &[u64], answers: &mut [usize]) {
            for (answer, &key) in answers.iter_mut().zip(keys) {
                *answer = self.checked(self.lower_bound_avx512(key), key);
            }
        }

        #[target_feature(enable = "avx512f,popcnt")]
        pub(super) fn dependent_avx512(&self, keys: &[u64], answers: &mut [usize]) {
            let (nothing, mut answer) = (black_box(0), 0);
            for (place, &key) in answers.iter_mut().zip(keys) {
                let key = key ^ (answer & nothing) as u64;
                answer = self.checked(self.lower_bound_avx512(key), key);
                *place = answer;
            }
        }

        /// Lower bounds of at most a group of keys: one layer at a time, the nodes of the next
        /// layer asked for while the rest of the group is compared.
        #[target_feature(enable = "avx512f,popcnt")]
        pub(super) fn batched_avx512(&self, keys: &[u64], answers: &mut [usize]) {
            let mut nodes = [0; GROUP];
            for pair in self.layers.windows(2) {
                let &[layer, below] = pair else { return };
                // The layers at the top stay in the cache by themselves.
                if below < CACHED_NODES {
                    for (node, &key) in nodes.iter_mut().zip(keys) {
                        *node = self.child(layer, *node, key);
                    }
                } else {
                    for (node, &key) in nodes.iter_mut().zip(keys) {
                        *node = self.child(layer, *node, key);
                        prefetch_node(&self.nodes, below + *node);
                    }
                }
            }
            let bottom = self.layers[self.layers.len() - 1];
            for ((answer, node), &key) in answers.iter_mut().zip(nodes).zip(keys) {
                let wanted = _mm512_set1_epi64(key.cast_signed());
                *answer = node * WIDTH + rank(self.node(bottom, node), wanted);
            }
        }

        /// The number in the layer below of the child that holds the lower bound.
        #[inline]
        #[target_feature(enable = "avx512f,popcnt")]
        fn child(&self, layer: usize, node: usize, key: u64) -> usize {
            let wanted = _mm512_set1_epi64(key.cast_signed());
            node * (WIDTH + 1) + rank(self.node(layer, node), wanted)
        }
    }

    /// Asks for both lines of a node.
    #[inline(always)]
    fn prefetch_node(nodes: &[Node], index: usize) {
        let first = nodes.as_ptr().wrapping_add(index).cast::<[u64; WIDTH / 2]>();
        prefetch::at(first);
        prefetch::at(first.wrapping_add(1));
    }
}

/// The node of largest keys below its children, which are `children` in the whole layer.
fn inner(keys: &[u64], node: usize, span: usize, children: usize) -> Node {
    let mut largest = [u64::MAX; WIDTH];
    for (i, place) in largest.iter_mut().enumerate() {
        let child = node * (WIDTH + 1) + i;
        if child + 1 < children {
            *place = keys[(child + 1) * span - 1];
        }
    }
    Node(largest)
}

/// A node of the sorted keys.
fn bottom(keys: &[u64]) -> Node {
    let mut node = [u64::MAX; WIDTH];
    node[..keys.len()].copy_from_slice(keys);
    Node(node)
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("popcnt")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}
