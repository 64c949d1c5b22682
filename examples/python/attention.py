import subquad

n, d = 1000, 64
q, k, v = (subquad.fill_uniform((n, d), seed=1, stream=i, low=-1, high=1, dtype="float32") for i in range(3))
o = subquad.attention(q, k, v, causal=True)
print(o[-1, -1])
