// How far an approximate gradient in the queries is from the exact one, on sampled queries.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/problem.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// Rows `queries` of one head's exact dq, in double precision: [queries.size()][d], with logits, weights and outputs of their own.
//   dq[i,:] = scale sum_j P[i,j] (<d_o[i,:], v[j,:]> - <d_o[i,:], o[i,:]>) k[j,:]
// Time O(n_k (d + d_v)) a query. A logit or product that is not finite makes its row NaN. The same bits for any number of threads.
template <class T>
std::vector<double> exact_dq_rows(Execution& run, const Problem<T>& problem, const View<const T, 4>& d_o, int64_t batch,
                                  int64_t head, const std::vector<int64_t>& queries);

// |dq~ - dq|_F / |dq|_F over these queries, with dq~ as [batch][q_heads][n_q][d]; 0 where both are zero, infinite where only dq is.
template <class T>
double sampled_dq_error(Execution& run, const Problem<T>& problem, const View<const T, 4>& d_o, const View<const T, 4>& dq,
                        int64_t batch, int64_t head, const std::vector<int64_t>& queries);

}  // namespace subquad::attention
