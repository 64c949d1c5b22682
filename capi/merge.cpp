#include "core/attention/merge.hpp"

#include "capi/arrays.hpp"
#include "capi/barrier.hpp"
#include "capi/context.hpp"
#include "capi/options.hpp"

using namespace subquad;
using capi::Argument;

namespace {

constexpr int64_t kMaxParts = int64_t{1} << 20;

// The parts of a merge, with names for messages.
struct Parts {
  std::vector<std::string> names;
  std::vector<Argument> arguments;

  Parts(const char* name, const subquad_array* arrays, int64_t count) {
    capi::required(arrays, name);
    names.reserve(static_cast<size_t>(count));  // the arguments point into it
    for (int64_t p = 0; p < count; ++p) {
      names.push_back(std::string(name) + "[" + std::to_string(p) + "]");
      arguments.push_back({names.back().c_str(), arrays + p});
    }
  }

  // All have one dtype and shape.
  void check(int32_t dtype, const std::vector<int64_t>& shape) const {
    for (const Argument& part : arguments) {
      capi::check_array(part, 1, SUBQUAD_MAX_NDIM);
      capi::check_dtype(part, dtype, "as o");
      capi::check_shape(part, shape, "to fit o");
    }
  }

  // The output may be one of the parts itself, and must stay clear of the others.
  void check_output(const Argument& output, std::vector<Argument> others) const {
    for (const Argument& part : arguments) {
      if (!capi::same_view(*part.array, *output.array)) others.push_back(part);
    }
    capi::check_output(output, others);
  }

  template <class T, int Rank>
  std::vector<View<const T, Rank>> views() const {
    std::vector<View<const T, Rank>> list;
    for (const Argument& part : arguments) list.push_back(capi::view_of<const T, Rank>(part));
    return list;
  }
};

}  // namespace

subquad_status subquad_attention_merge(subquad_context* context, const subquad_options* options, int64_t count,
                                       const subquad_array* o_parts, const subquad_array* lse_parts, const subquad_array* o,
                                       const subquad_array* lse) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    if (count < 1 || count > kMaxParts) {
      throw Error(Status::err_value, "count is " + std::to_string(count) + ", not in [1, " + std::to_string(kMaxParts) + "]");
    }
    const Argument o_output{"o", o}, lse_output{"lse", lse};
    capi::check_array(o_output, 2, SUBQUAD_MAX_NDIM);
    capi::check_floating(o_output);
    const Parts outputs("o_parts", o_parts, count), sums("lse_parts", lse_parts, count);
    const std::vector<int64_t> o_shape(o->shape, o->shape + o->ndim), lse_shape(o->shape, o->shape + o->ndim - 1);
    outputs.check(o->dtype, o_shape);
    sums.check(o->dtype, lse_shape);
    outputs.check_output(o_output, sums.arguments);
    if (lse_output) {
      capi::check_array(lse_output, 1, SUBQUAD_MAX_NDIM - 1);
      capi::check_dtype(lse_output, o->dtype, "as o");
      capi::check_shape(lse_output, lse_shape, "to fit o");
      std::vector<Argument> others = outputs.arguments;
      others.push_back(o_output);
      sums.check_output(lse_output, others);
    }

    Execution run = use.execution();
    capi::with_floating(o->dtype, [&](auto zero) {
      using T = decltype(zero);
      if (capi::options_or_default(options).get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0) {
        for (const Argument& part : outputs.arguments) capi::check_finite<T>(run, part);
        for (const Argument& part : sums.arguments) capi::check_finite<T>(run, part, true);
      }
      attention::merge<T>(run, outputs.views<T, 4>(), sums.views<T, 3>(), capi::view_of<T, 4>(o_output),
                          capi::view_of<T, 3>(lse_output));
    });
  });
}
