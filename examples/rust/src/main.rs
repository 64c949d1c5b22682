use ndarray::Array2;
use subquad::{Attention, Error, fill_uniform};

fn main() -> Result<(), Error> {
    let (n, d) = (1000, 64);
    let mut x = [0, 1, 2].map(|_| Array2::<f32>::zeros((n, d)));
    for (stream, x) in x.iter_mut().enumerate() {
        fill_uniform(x, 1, stream as u64, -1.0, 1.0)?;
    }
    let output = Attention::new().causal(true).run(&x[0], &x[1], &x[2])?;
    println!("{}", output.o[[n - 1, d - 1]]);
    Ok(())
}
