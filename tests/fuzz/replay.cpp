// Runs a fuzz target without libFuzzer: on the inputs of a folder, then on so many made from them. Any compiler will do.
//
// usage: fuzz_NAME_replay FOLDER COUNT
//
// The inputs are the same each time. The one that runs is kept in ./fuzz_NAME_replay.input, which is removed at the end.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count);

namespace {

using Input = std::vector<uint8_t>;

std::vector<Input> read_folder(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Input> inputs;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

// The beginning of one input, the end of another, and a few other bytes.
Input cross(const std::vector<Input>& inputs, std::mt19937_64& random) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : static_cast<size_t>(random() % n); };
  Input result = inputs[below(inputs.size())];
  const Input& other = inputs[below(inputs.size())];
  result.resize(below(result.size() + 1));
  result.insert(result.end(), other.begin() + static_cast<std::ptrdiff_t>(below(other.size())), other.end());
  for (size_t changes = below(4); changes > 0 && !result.empty(); --changes) {
    result[below(result.size())] = static_cast<uint8_t>(random());
  }
  return result;
}

void run(const std::string& keep, const Input& input) {
  std::ofstream(keep, std::ios::binary)
      .write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: %s FOLDER COUNT\n", arguments[0]);
    return 2;
  }
  const std::string keep = std::filesystem::path(arguments[0]).filename().string() + ".input";
  const std::vector<Input> inputs = read_folder(arguments[1]);
  if (inputs.empty()) {
    std::fprintf(stderr, "%s holds no input\n", arguments[1]);
    return 1;
  }
  for (const Input& input : inputs) run(keep, input);
  std::mt19937_64 random(1);
  for (long made = std::stol(arguments[2]); made > 0; --made) run(keep, cross(inputs, random));
  std::filesystem::remove(keep);
  return 0;
}
