// The exception barrier: every exported function that can fail runs its body in guarded().
#pragma once

#include <new>
#include <stdexcept>

#include "capi/subquad.h"
#include "core/base/error.hpp"

namespace subquad::capi {

// Keeps the text for subquad_last_error() of this thread; returns status. Never throws: a text that finds no memory is cut.
subquad_status fail(Status status, const char* message) noexcept;

template <class Body>
subquad_status guarded(Body&& body) noexcept {
  try {
    body();
    return SUBQUAD_OK;
  } catch (const Error& error) {
    return fail(error.status(), error.what());
  } catch (const std::length_error& error) {
    return fail(Status::err_size, error.what());
  } catch (const std::bad_alloc&) {
    return fail(Status::err_memory, "memory could not be allocated");
  } catch (const std::exception& error) {
    return fail(Status::err_internal, error.what());
  } catch (...) {
    return fail(Status::err_internal, "an exception of unknown type");
  }
}

// The pointer, which must not be null.
template <class T>
T* required(T* pointer, const char* name) {
  if (pointer == nullptr) throw Error(Status::err_null, std::string(name) + " is null");
  return pointer;
}

}  // namespace subquad::capi
