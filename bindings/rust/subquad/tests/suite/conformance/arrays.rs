//! Arrays of the masters, in buffers with the strides that they ask for.

use ndarray::{
    Array1, ArrayD, ArrayRef, ArrayView, ArrayViewD, ArrayViewMut, ArrayViewMutD, Axis, Dimension,
    IxDyn, ShapeBuilder,
};
use serde_json::Value;
use subquad::fill_uniform;

use super::json::{list, number, signed, sizes};
use crate::problem::Real;

/// A buffer and where in it the elements of an array lie.
#[derive(Debug)]
pub struct Buffer<E> {
    memory: Vec<E>,
    shape: Vec<usize>,
    strides: Vec<isize>,
    /// Number of the element with the lowest address.
    lowest: usize,
}

impl<E: Clone> Buffer<E> {
    /// A buffer full of `filler` for the shape, and for the layout or the strides that the array asks for.
    pub fn new(array: &Value, filler: E) -> Self {
        let shape = sizes(&array["shape"]);
        let layout = &array["layout"];
        let strides = match (layout.get("strides"), array.get("strides")) {
            (Some(strides), _) | (None, Some(strides)) => signed(strides),
            (None, None) => row_major(&shape),
        };
        let reach = |sign: isize| -> usize {
            let extents = shape.iter().zip(&strides);
            let along = |(&extent, &stride): (&usize, &isize)| match stride.signum() == sign {
                true => extent.saturating_sub(1) * stride.unsigned_abs(),
                false => 0,
            };
            extents.map(along).sum()
        };
        let empty = shape.contains(&0);
        let just_enough = if empty { 0 } else { 1 + reach(1) + reach(-1) };
        let (size, lowest) = match layout.get("size") {
            Some(size) => {
                let first = layout["offset"].as_u64().expect("an offset") as usize;
                let lowest = if empty { 0 } else { first - reach(-1) };
                (size.as_u64().expect("a size") as usize, lowest)
            }
            None => (just_enough, 0),
        };
        Self {
            memory: vec![filler; size],
            shape,
            strides,
            lowest,
        }
    }

    pub fn view(&self) -> ArrayViewD<'_, E> {
        let shape = IxDyn(&self.shape).strides(IxDyn(&self.distances()));
        let mut view = ArrayView::from_shape(shape, &self.memory[self.lowest..])
            .expect("a view of the buffer");
        for axis in self.reversed_axes() {
            view.invert_axis(axis);
        }
        view
    }

    pub fn view_mut(&mut self) -> ArrayViewMutD<'_, E> {
        self.view_of_distinct(self.shape.clone())
    }

    /// The extents without repetitions: an axis along which the strides repeat one element counts once.
    fn distinct_shape(&self) -> Vec<usize> {
        let extents = self.shape.iter().zip(&self.strides);
        let distinct =
            |(&extent, &stride): (&usize, &isize)| if stride == 0 { extent.min(1) } else { extent };
        extents.map(distinct).collect()
    }

    fn view_of_distinct(&mut self, shape: Vec<usize>) -> ArrayViewMutD<'_, E> {
        let reversed = self.reversed_axes();
        let strided = IxDyn(&shape).strides(IxDyn(&self.distances()));
        let memory = &mut self.memory[self.lowest..];
        let mut view =
            ArrayViewMut::from_shape(strided, memory).expect("a mutable view of the buffer");
        for axis in reversed {
            view.invert_axis(axis);
        }
        view
    }

    /// `ndarray` makes views with strides upwards, and turns axes afterwards. It holds the strides of an array without elements
    /// against the buffer's length too.
    fn distances(&self) -> Vec<usize> {
        let empty = self.shape.contains(&0);
        let distance = |stride: &isize| if empty { 0 } else { stride.unsigned_abs() };
        self.strides.iter().map(distance).collect()
    }

    fn reversed_axes(&self) -> Vec<Axis> {
        let axes = 0..self.shape.len();
        axes.filter(|&axis| self.strides[axis] < 0)
            .map(Axis)
            .collect()
    }
}

impl Buffer<i64> {
    /// An input with the integers that the array holds.
    pub fn integers(array: &Value) -> Self {
        let mut buffer = Self::new(array, i64::MIN);
        let values = list(&array["values"]).iter();
        let values = values.map(|value| value.as_i64().expect("an integer"));
        let numbers = ArrayD::from_shape_vec(buffer.shape.clone(), values.collect());
        let numbers = numbers.expect("as many values as its shape says");
        buffer.view_mut().assign(&numbers);
        buffer
    }
}

impl<T: Real> Buffer<T> {
    /// An output, and the gaps of any array, are full of NaN.
    pub fn output(array: &Value) -> Self {
        Self::new(array, T::of(f64::NAN))
    }

    /// An input with the numbers that the array asks for.
    pub fn input(array: &Value) -> Self {
        let mut buffer = Self::output(array);
        let numbers = buffer.numbers(array);
        buffer
            .view_of_distinct(numbers.shape().to_vec())
            .assign(&numbers);
        buffer
    }

    fn numbers(&self, array: &Value) -> ArrayD<T> {
        let shape = self.distinct_shape();
        let mut numbers = Array1::from_elem(shape.iter().product::<usize>(), T::of(0.0));
        if let Some(fill) = array.get("fill") {
            fill_as_asked(&mut numbers, fill).expect("a valid fill");
        } else {
            let values = list(&array["values"]);
            assert_eq!(values.len(), numbers.len());
            numbers
                .iter_mut()
                .zip(values)
                .for_each(|(to, value)| *to = T::of(number(value)));
        }
        for entry in array.get("set").map_or(&[][..], |set| list(set)) {
            let index = entry[0].as_u64().expect("an index") as usize;
            numbers[index] = T::of(number(&entry[1]));
        }
        numbers
            .into_shape_with_order(shape)
            .expect("as many numbers")
    }

    /// Whether everything that is no element of the array is still NaN.
    pub fn gaps_are_untouched(&self) -> bool {
        let mut elements = Buffer {
            memory: vec![false; self.memory.len()],
            shape: self.shape.clone(),
            strides: self.strides.clone(),
            lowest: self.lowest,
        };
        elements.view_mut().fill(true);
        let places = self.memory.iter().zip(&elements.memory);
        places
            .filter(|&(_, &element)| !element)
            .all(|(&x, _)| x.into().is_nan())
    }

    /// Whether no element was ever written.
    pub fn is_untouched(&self) -> bool {
        self.memory.iter().all(|&x| x.into().is_nan())
    }

    /// Whether two buffers hold the same, NaN included.
    pub fn is_same(&self, other: &Self) -> bool {
        let bits = |x: &T| -> u64 { (*x).into().to_bits() };
        self.memory
            .iter()
            .map(bits)
            .eq(other.memory.iter().map(bits))
    }
}

/// The function under test with the arguments of a FILL.
pub fn fill_as_asked<T: Real, D: Dimension>(
    x: &mut ArrayRef<T, D>,
    fill: &Value,
) -> subquad::Result<()> {
    let whole = |key: &str| {
        fill[key]
            .as_u64()
            .unwrap_or_else(|| panic!("{key} of {fill}"))
    };
    fill_uniform(
        x,
        whole("seed"),
        whole("stream"),
        number(&fill["low"]),
        number(&fill["high"]),
    )
}

fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1) as isize;
    }
    strides
}
