// Runs all native tests (or those whose name contains the first argument); the last line says how many passed.
#include "harness.h"

int main(int argc, char** argv) {
  std::string filter = argc > 1 ? argv[1] : "";
  int passed = 0, failed = 0;
  for (const pk::test::Case& test : pk::test::cases()) {
    if (test.name.find(filter) == std::string::npos) continue;
    try {
      test.run();
      ++passed;
    } catch (const std::exception& error) {
      std::printf("FAILED %s: %s\n", test.name.c_str(), error.what());
      ++failed;
    }
    std::fflush(stdout);
  }
  std::printf("native tests: %d passed, %d failed\n", passed, failed);
  return failed == 0 && (passed > 0 || !filter.empty()) ? 0 : 1;
}
