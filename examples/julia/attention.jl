using Subquad

n, d = 1000, 64  # one column per query or key
q, k, v = (fill_uniform!(zeros(Float32, d, n), 1; stream = i, low = -1, high = 1) for i in 0:2)
o = attention(q, k, v; causal = true)
println(o[d, n])
