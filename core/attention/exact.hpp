// Exact softmax attention, forward and backward, in O(n) memory: tiles with an online softmax.
#pragma once

#include "core/attention/problem.hpp"
#include "core/attention/visited_tiles.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// o: [batch][q_heads][n_q][d_v], lse: [batch][q_heads][n_q] or without data. A logit or output that overflows T is an
// Error(overflow) when check_overflow is set. The same bits for any number of threads.
template <class T>
void exact_forward(Execution& run, const Problem<T>& problem, bool check_overflow, const View<T, 4>& o, const View<T, 3>& lse);

// The same, but rows have the bits that they have among many others even where there are few of them, which takes longer.
template <class T>
void exact_forward_as_of_many(Execution& run, const Problem<T>& problem, bool check_overflow, const View<T, 4>& o,
                              const View<T, 3>& lse);

// Gradients of the forward call; o, lse and d_o are its results and their cotangent. An output without data is left out. A gradient
// that is not finite is an Error(overflow) when check_overflow is set. With `visited`, o and lse
// are those of a pass that visited no other tiles: pairs outside of them have weight 0 and take no time.
template <class T>
struct Gradients {
  View<T, 4> dq, dk, dv;
  View<T, 2> d_lag_bias;
};
template <class T>
void exact_backward(Execution& run, const Problem<T>& problem, bool check_overflow, const View<const T, 4>& o,
                    const View<const T, 3>& lse, const View<const T, 4>& d_o, const Gradients<T>& gradients,
                    const VisitedTiles* visited = nullptr);

}  // namespace subquad::attention
