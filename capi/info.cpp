#include <memory>

#include "capi/barrier.hpp"
#include "capi/context.hpp"
#include "capi/generated/tables.hpp"
#include "capi/report.hpp"
#include "core/fft/library.hpp"
#include "core/linalg/libraries.hpp"

using namespace subquad;

subquad_status subquad_info(subquad_context* context, subquad_report* report) {
  return capi::guarded([&] {
    capi::required(report, "report");
    std::unique_ptr<subquad_context> fresh;
    if (context == nullptr) {
      fresh = std::make_unique<subquad_context>();
      context = fresh.get();
    }
    std::vector<std::string> targets;
    for (const simd::Target target : simd::targets()) targets.emplace_back(simd::name(target));

    subquad_report described;
    described.set<std::string>(SUBQUAD_REPORT_VERSION, tables::kVersionString);
    described.set<int64_t>(SUBQUAD_REPORT_THREADS, context->pool->threads());
    described.set<std::string>(SUBQUAD_REPORT_SIMD_TARGET, simd::name(context->target));
    described.set(SUBQUAD_REPORT_SIMD_TARGETS, std::move(targets));
    described.set(SUBQUAD_REPORT_BLAS, linalg::blas_description());
    described.set(SUBQUAD_REPORT_BLAS_CORE, linalg::blas_core());
    if (const std::string warning = linalg::blas_warning(); !warning.empty()) described.set(SUBQUAD_REPORT_BLAS_WARNING, warning);
    described.set(SUBQUAD_REPORT_FFTW_VERSION, fft::library_version());
    described.set(SUBQUAD_REPORT_ARMADILLO_VERSION, linalg::armadillo_version());
    *report = std::move(described);
  });
}
