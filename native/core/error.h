// Error: what every native layer throws. `code` is stable and machine readable, `what()` is a full sentence.
#pragma once
#include <stdexcept>
#include <string>

namespace pk {

class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

// Thrown by long jobs when their caller has asked them to stop; it becomes an AbortError in JavaScript.
class Aborted : public Error {
 public:
  Aborted() : Error("ERR_ABORTED", "The operation was aborted.") {}
};

}  // namespace pk
