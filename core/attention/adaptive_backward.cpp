// Method: docs/adaptive.md, section on gradients.
#include "core/attention/adaptive_backward.hpp"

#include "core/attention/adaptive_keys.hpp"
#include "core/attention/adaptive_sample.hpp"
#include "core/attention/for_heads.hpp"
#include "core/attention/layout.hpp"
#include "core/attention/sampled_gradient.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kSampledTiles = 6;      // of three rows each
constexpr uint64_t kStream = 0x62616477;  // of random numbers, plus the head's number

// Which tiles the plan visits: its forward pass is run again, its outputs forgotten.
template <class T>
VisitedTiles visited_tiles(Execution& run, const Problem<T>& problem, const AdaptivePlan& plan) {
  VisitedTiles visited(problem.batch(), problem.q_heads(), problem.n_q(), problem.n_k());
  const int64_t rows = problem.n_q(), heads = problem.q_heads(), d_v = problem.d_v();
  const Lease<T> outputs(run.workspace, problem.batch() * heads * rows * d_v);
  apply_plan<T>(run, problem, plan, false,
                {outputs.get(), {problem.batch(), heads, rows, d_v}, {heads * rows * d_v, rows * d_v, d_v, 1}}, {}, &visited);
  return visited;
}

// dv += P~' d_o of the conv far fields, whose fits are made again.
template <class T>
void add_far_fields(Execution& run, const Problem<T>& problem, const AdaptivePlan& plan, const View<const T, 3>& lse,
                    const View<const T, 4>& d_o, const View<T, 4>& dv) {
  Monitor monitor(run.ticker, 0);
  const Team team(run.pool, monitor);
  Aligned<T> storage;
  const View<const T, 4> rows = with_contiguous_columns<T>(run, monitor, d_o, storage);
  for (size_t h = 0; h < plan.heads.size(); ++h) {
    const HeadChoice& choice = plan.heads[h].stretches.front().choice;
    if (!choice.conv) continue;
    const int64_t batch = static_cast<int64_t>(h) / problem.q_heads(), head = static_cast<int64_t>(h) % problem.q_heads();
    const int64_t kv_head = head / problem.group_size();
    const auto far = fit_far_field<T>(run, team, matrix_of(problem.q, batch, head), matrix_of(problem.k, batch, kv_head),
                                      problem.scale, choice);
    const View<const T, 1> sums{lse.at(batch, head), {problem.n_q()}, {lse.strides[2]}};
    apply_conv_far_field_transposed<T>(run, team, far, sums, matrix_of(rows, batch, head), matrix_of(dv, batch, kv_head));
  }
}

}  // namespace

template <class T>
std::vector<double> plan_backward(Execution& run, const Problem<T>& problem, const AdaptivePlan& plan, uint64_t seed,
                                  bool check_overflow, const View<const T, 4>& o, const View<const T, 3>& lse,
                                  const View<const T, 4>& d_o, const Gradients<T>& gradients) {
  const VisitedTiles visited = visited_tiles(run, problem, plan);
  exact_backward<T>(run, problem, check_overflow, o, lse, d_o, gradients, &visited);
  if (gradients.dv.data != nullptr) add_far_fields(run, problem, plan, lse, d_o, gradients.dv);
  std::vector<double> errors(plan.heads.size(), 0.0);
  if (gradients.dq.data == nullptr) return errors;
  const View<const T, 4> dq{gradients.dq.data, gradients.dq.shape, gradients.dq.strides};
  for (size_t h = 0; h < errors.size(); ++h) {
    if (plan.heads[h].exact()) continue;
    const auto index = static_cast<int64_t>(h);
    const RowSample sample = sample_rows(0, problem.n_q(), kSampledTiles, seed, kStream + h);
    errors[h] =
        sampled_dq_error<T>(run, problem, d_o, dq, index / problem.q_heads(), index % problem.q_heads(), rows_of(sample.fresh));
  }
  return errors;
}

#define SUBQUAD_INSTANTIATE(T)                                                                                             \
  template std::vector<double> plan_backward<T>(Execution&, const Problem<T>&, const AdaptivePlan&, uint64_t, bool,        \
                                                const View<const T, 4>&, const View<const T, 3>&, const View<const T, 4>&, \
                                                const Gradients<T>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
