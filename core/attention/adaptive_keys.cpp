#include "core/attention/adaptive_keys.hpp"

#include "core/parallel/team.hpp"

namespace subquad::attention {

template <class T>
void add_pass_keys(Workspace& workspace, Monitor& monitor, const LowProblem<T>& low, int64_t batch, int64_t head,
                   const HeadChoice& choice, PassKeys& keys) {
  keys.all = &low.keys(batch, head);
  if (choice.kind != HeadKind::selected) return;
  const auto k = low.k(batch, head), v = low.v(batch, head);
  const std::vector<float>& center = low.center(batch, head);
  if (!choice.heavy.empty() && !keys.heavy) {
    keys.heavy = quantize_some_keys(workspace, low.kernels(), k, v, center, choice.heavy);
    keys.rest = LowKeys::sharing(workspace, *keys.all);
    for (const int64_t j : choice.heavy) keys.rest->leave_out(j);
  }
  if ((choice.centroids || choice.expand <= 1) && !keys.levels)
    keys.levels = LowLevels::build(Team(monitor), workspace, low.kernels(), k, v, center, choice.heavy);
}

template void add_pass_keys<float>(Workspace&, Monitor&, const LowProblem<float>&, int64_t, int64_t, const HeadChoice&,
                                   PassKeys&);
template void add_pass_keys<double>(Workspace&, Monitor&, const LowProblem<double>&, int64_t, int64_t, const HeadChoice&,
                                    PassKeys&);

}  // namespace subquad::attention
