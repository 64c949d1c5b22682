#include "capi/context.hpp"

#include <unistd.h>

#include "capi/barrier.hpp"

using namespace subquad;
using capi::required;

subquad_context::subquad_context() : pool(std::make_unique<Pool>(default_threads())), target(simd::default_target()) {}

// A child of fork() inherits the mark of a call that goes on in its parent only: the process number tells.
capi::ContextUse::ContextUse(subquad_context* context) : context_(required(context, "context")) {
  const int64_t process = getpid();
  int64_t owner = 0;
  while (!context_->owner.compare_exchange_weak(owner, process)) {
    if (owner == process) throw Error(Status::err_busy, "context is in use by another call");
  }
}

Execution capi::ContextUse::execution() const {
  Ticker::Callback callback;
  if (context_->callback != nullptr) {
    callback = [function = context_->callback, user = context_->user](double fraction) { return function(user, fraction) != 0; };
  }
  return {*context_->pool, Ticker(std::move(callback)), context_->target,
          Workspace(context_->workspace_limit, &context_->kept_memory), context_->plans};
}

subquad_status subquad_context_create(subquad_context** context_out) {
  return capi::guarded([&] {
    *required(context_out, "context_out") = nullptr;
    *context_out = new subquad_context;
  });
}

void subquad_context_destroy(subquad_context* context) { delete context; }

static_assert(kMaxThreads == SUBQUAD_MAX_THREADS);

subquad_status subquad_context_set_threads(subquad_context* context, int64_t threads) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    if (threads < 0 || threads > kMaxThreads) {
      throw Error(Status::err_value,
                  "threads is " + std::to_string(threads) + ", not in [0, " + std::to_string(kMaxThreads) + "]");
    }
    const int64_t wanted = threads == 0 ? default_threads() : threads;
    if (wanted != context->pool->threads()) context->pool = std::make_unique<Pool>(wanted);
  });
}

subquad_status subquad_context_set_workspace_limit(subquad_context* context, int64_t bytes) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    if (bytes < 0) throw Error(Status::err_value, "bytes is " + std::to_string(bytes) + ", which is negative");
    context->workspace_limit = bytes;
  });
}

subquad_status subquad_context_set_callback(subquad_context* context, subquad_callback callback, void* user) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    context->callback = callback;
    context->user = user;
  });
}

subquad_status subquad_context_set_simd_target(subquad_context* context, const char* name) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    context->target = name != nullptr ? simd::find_target(name) : simd::targets().front();
  });
}

subquad_status subquad_simd_target_at(int64_t index, const char** name_out) {
  return capi::guarded([&] {
    required(name_out, "name_out");
    const auto& targets = simd::targets();
    if (index < 0 || index >= static_cast<int64_t>(targets.size())) {
      throw Error(Status::err_value,
                  "index is " + std::to_string(index) + "; there are " + std::to_string(targets.size()) + " SIMD targets");
    }
    *name_out = simd::name(targets[static_cast<size_t>(index)]);
  });
}
