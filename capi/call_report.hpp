// What every computation reports, gathered during a call and handed over at its end.
#pragma once

#include <chrono>
#include <utility>

#include "capi/report.hpp"
#include "core/attention/conv_operator.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::capi {

class CallReport {
 public:
  subquad_report& values() { return values_; }

  void set_effort(const attention::ConvEffort& effort) {
    values_.set<int64_t>(SUBQUAD_REPORT_BLOCK, effort.block);
    values_.set<int64_t>(SUBQUAD_REPORT_LAYERS, effort.layers);
    values_.set<int64_t>(SUBQUAD_REPORT_DIRECT_ROWS, effort.direct_rows);
  }

  // report may be NULL.
  void write(subquad_report* report, const Execution& run, const char* method, int64_t pairs) {
    values_.set<int64_t>(SUBQUAD_REPORT_PAIRS, pairs);
    write(report, run, method);
  }

  // Of what is not attention.
  void write(subquad_report* report, const Execution& run, const char* method) {
    if (report == nullptr) return;
    values_.set<std::string>(SUBQUAD_REPORT_METHOD, method);
    values_.set<double>(SUBQUAD_REPORT_SECONDS, std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count());
    values_.set<int64_t>(SUBQUAD_REPORT_THREADS, run.pool.threads());
    values_.set<std::string>(SUBQUAD_REPORT_SIMD_TARGET, simd::name(run.target));
    values_.set<int64_t>(SUBQUAD_REPORT_WORKSPACE_BYTES, run.workspace.bytes());
    *report = std::move(values_);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  subquad_report values_;
};

}  // namespace subquad::capi
