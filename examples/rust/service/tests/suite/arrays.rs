//! Problems, and what the library answers to them without a server.

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use subquad::ndarray::{Array2, ArrayD};
use subquad::{Attention, fill_uniform};

/// One head: queries, keys and values.
pub struct Problem {
    pub q: Array2<f32>,
    pub k: Array2<f32>,
    pub v: Array2<f32>,
}

impl Problem {
    pub fn new(seed: u64, queries: usize, keys: usize, d: usize) -> Self {
        let uniform = |stream, rows| {
            let mut x = Array2::zeros((rows, d));
            fill_uniform(&mut x, seed, stream, -1.0, 1.0).expect("the arguments are right");
            x
        };
        let (q, k, v) = (uniform(0, queries), uniform(1, keys), uniform(2, keys));
        Self { q, k, v }
    }

    /// A computation of minutes, unless somebody stops it.
    pub fn endless() -> Self {
        Self::new(1, 2_000_000, 2_000_000, 1)
    }

    /// An answer of 32 MB, more than the system buffers for a connection, to little computation.
    pub fn of_a_large_answer() -> Self {
        Self {
            q: Array2::zeros((125_000, 1)),
            k: Array2::zeros((1, 1)),
            v: Array2::ones((1, 64)),
        }
    }

    pub fn body(&self) -> Vec<u8> {
        let arrays = [("q", &self.q), ("k", &self.k), ("v", &self.v)];
        encode(&arrays.map(|(name, x)| {
            (
                name,
                Dtype::F32,
                x.shape(),
                bytemuck::cast_slice(x.as_slice().unwrap()),
            )
        }))
    }

    /// The elements of o, then those of lse.
    pub fn expected(&self, attention: &Attention<'_, f32>) -> Vec<f32> {
        let output = attention
            .run(&self.q, &self.k, &self.v)
            .expect("the problem is right");
        output.o.into_iter().chain(output.lse).collect()
    }
}

/// Tensors by name, dtype, shape and bytes.
pub fn encode(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let views = tensors.iter().map(|&(name, dtype, shape, data)| {
        (
            name,
            TensorView::new(dtype, shape.to_vec(), data).expect("the shape is that of the data"),
        )
    });
    safetensors::serialize(views, None).expect("tensors can be written")
}

/// A tensor of an answer.
pub fn decode(answer: &[u8], name: &str) -> ArrayD<f32> {
    let tensors = SafeTensors::deserialize(answer).expect("the answer is safetensors");
    let tensor = tensors.tensor(name).expect("the answer has o and lse");
    assert_eq!(tensor.dtype(), Dtype::F32);
    ArrayD::from_shape_vec(tensor.shape(), bytemuck::pod_collect_to_vec(tensor.data()))
        .expect("the shape is that of the data")
}

/// The elements of an answer's o, then those of its lse.
pub fn elements(answer: &[u8]) -> Vec<f32> {
    decode(answer, "o")
        .into_iter()
        .chain(decode(answer, "lse"))
        .collect()
}
