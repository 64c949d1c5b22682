# Gradients by finite differences of the definition. In BigFloat a step of 2^-50 leaves the differences an error of about 2^-100, which is
# nothing beside the budget: roundoff of the library's own sums.

"""sum(o .* d_o), by the definition."""
function loss(q, k, v, bias, d_o; keywords...)
    total = big(0.0)
    problem = heads(q, k, v; lag_bias=bias, keywords...)
    d_o = four(d_o)
    for I in CartesianIndices(problem)
        P, _ = weights(problem[I])
        total += sum(problem[I].v * P' .* d_o[:, :, I])
    end
    return total
end

function differences(f, x)
    step = big(2.0)^-50
    return map(eachindex(x)) do index
        up, down = big.(x), big.(x)
        up[index] += step
        down[index] -= step
        (f(up) - f(down)) / 2step
    end
end

"""
roundoff of the gradients: the weights' roundoff, four times over (P from lse, lse and o themselves, the product with dP - D), and
that of the sums over channels and pairs, all relative to the sums of absolute terms.
"""
function gradient_budgets(T, q, k, v, bias, d_o; keywords...)
    problem = heads(q, k, v; lag_bias=bias, keywords...)
    d_o = four(d_o)
    group = max(1, size(problem, 1) ÷ max(1, size(k, 3)))
    dq, dk, dv = zeros(size(four(q))), zeros(size(four(k))), zeros(size(four(v)))
    d_bias = bias === nothing ? nothing : zeros(size(bias))
    for I in CartesianIndices(problem)
        head, shared = problem[I], CartesianIndex(cld(I[1], group), I[2])
        P, (D, V, Q, K) = Float64.(weights(head)[1]), (x -> Float64.(abs.(x))).((d_o[:, :, I], head.v, head.q, head.k))
        n = size(Q, 1) + size(V, 1) + length(problem) * (size(Q, 2) + size(K, 2)) + 16
        slack = 4 .* row_roundoff(T, head) .+ n * eps(T)
        O = V * P'
        dS = slack .* P .* (D' * V .+ vec(sum(D .* O; dims=1)))
        dq[:, :, I] .+= Float64(abs(head.scale)) .* (K * dS')
        dk[:, :, shared] .+= Float64(abs(head.scale)) .* (Q * dS)
        dv[:, :, shared] .+= D * (slack .* P)
        bias === nothing && continue
        for pair in CartesianIndices(P)
            row = head.lag_index[pair]
            head.logits[pair] == -Inf || (d_bias[row, min(I[1], size(bias, 2))] += dS[pair])
        end
    end
    return dq, dk, dv, d_bias
end
