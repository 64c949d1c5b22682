// What a product with a conv basis is made of, in the core itself: our transforms beside FFTW's, the rates of all parts beside those that
// the plan of a product assumes, and whole products by block size, the chosen one marked (docs/decisions/0007 and 0009).
//
// bench/run spectral_rates compiles and runs it. One thread; times are the thread's processor time, medians of alternating runs.
#include <fftw3.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "core/attention/conv_spectral.hpp"
#include "core/simd/toeplitz_kernels.hpp"

using namespace subquad;
using namespace subquad::attention;
using Calls = std::vector<std::function<void()>>;

namespace {

constexpr int64_t kColumns = 64;

double seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Median seconds per call of each, one after the other in turn.
std::vector<double> medians(const Calls& calls, int runs = 15) {
  std::vector<std::vector<double>> times(calls.size());
  for (int run = 0; run <= runs; ++run) {  // the first warms up
    for (size_t c = 0; c < calls.size(); ++c) {
      int repeats = 0;
      const double start = seconds();
      double end = start;
      for (; end - start < 2e-3; end = seconds(), ++repeats) calls[c]();
      if (run > 0) times[c].push_back((end - start) / repeats);
    }
  }
  std::vector<double> middle;
  for (auto& of_call : times) {
    std::nth_element(of_call.begin(), of_call.begin() + runs / 2, of_call.end());
    middle.push_back(of_call[static_cast<size_t>(runs / 2)]);
  }
  return middle;
}

// Zeros: they stay so however often they are transformed in place, and take the same time as any other numbers.
template <class R>
Aligned<R> zeros(int64_t count) {
  Aligned<R> data(count);
  std::fill(data.get(), data.get() + count, R{0});
  return data;
}

// Real columns to half spectra by FFTW, of columns side by side as a matrix has them, or each contiguous.
class Fftw {
 public:
  Fftw(int length, unsigned effort, bool side_by_side)
      : in_(zeros<float>(length * kColumns)), out_(zeros<float>((length + 2) * kColumns)) {
    const int columns = kColumns, step = side_by_side ? columns : 1;
    auto* const spectra = reinterpret_cast<fftwf_complex*>(out_.get());
    plan_ = fftwf_plan_many_dft_r2c(1, &length, columns, in_.get(), nullptr, step, side_by_side ? 1 : length, spectra, nullptr,
                                    step, side_by_side ? 1 : length / 2 + 1, effort);
  }
  ~Fftw() { fftwf_destroy_plan(plan_); }
  Fftw(const Fftw&) = delete;
  Fftw& operator=(const Fftw&) = delete;
  void run() const { fftwf_execute(plan_); }

 private:
  Aligned<float> in_, out_;
  fftwf_plan plan_;
};

void compare_transforms(simd::Target target) {
  std::printf("%d real float32 columns of N rows, GF/s counting 2.5 N log2 N for each:\n\n", static_cast<int>(kColumns));
  std::printf(
      "| N    | ours | ours, half zero | FFTW, side by side | FFTW, contiguous | measured plan, side by side | contiguous |\n");
  std::printf(
      "|------|------|-----------------|--------------------|------------------|-----------------------------|------------|\n");
  const auto& kernels = simd::spectral_kernels<float>(target);
  const int64_t row = 2 * kernels.lanes;
  for (int length = 256; length <= 8192; length *= 2) {
    const Fftw guessed(length, FFTW_ESTIMATE, true), guessed_apart(length, FFTW_ESTIMATE, false);
    const Fftw measured(length, FFTW_MEASURE, true), measured_apart(length, FFTW_MEASURE, false);
    const Aligned<float> twiddles(simd::twiddle_count(length)), data = zeros<float>(length * kColumns);
    simd::fill_twiddles(length, twiddles.get());
    const auto each_group = [&](auto transform) {
      for (int64_t first = 0; first < kColumns; first += row) transform(data.get() + first * length, length, twiddles.get());
    };
    std::printf("| %4d |", length);
    const Calls calls{[&] { each_group(kernels.transform); },
                      [&] { each_group(kernels.transform_half); },
                      [&] { guessed.run(); },
                      [&] { guessed_apart.run(); },
                      [&] { measured.run(); },
                      [&] { measured_apart.run(); }};
    const int widths[] = {4, 15, 18, 16, 27, 10};
    size_t column = 0;
    for (const double time : medians(calls))
      std::printf(" %*.1f |", widths[column++], 2.5e-9 * length * std::log2(length) * kColumns / time);
    std::printf("\n");
  }
}

// What a plan counts for each part, and the rate of it.
template <class R>
void compare_parts(simd::Target target, const char* type, int64_t block) {
  const auto& kernels = simd::spectral_kernels<R>(target);
  const auto& direct = simd::toeplitz_kernels<R>(target);
  constexpr int64_t kInputs = 48, kTiles = 4, kFrequencies = 16;
  const int64_t length = 2 * block, row = 2 * kernels.lanes, stride = (length + kFrequencies) * row;
  const int64_t outputs = kTiles * kernels.tile, keys = simd::kKeyBlock, queries = simd::kMaxWidth * direct.lanes;
  const Aligned<R> in = zeros<R>(kInputs * stride), windows = zeros<R>((kInputs + outputs) * stride / kernels.lanes + stride),
                   out = zeros<R>(outputs * stride), twiddles(simd::twiddle_count(length));
  simd::fill_twiddles(length, twiddles.get());
  std::vector<int64_t> offsets;  // by the difference of blocks, as for one segment
  for (int64_t tile = 0; tile < kTiles; ++tile) {
    for (int64_t p = 0; p < kInputs; ++p) {
      for (int64_t o = 0; o < kernels.tile; ++o) {
        const int64_t window = tile * kernels.tile + o - p + kInputs;
        offsets.push_back(window / kernels.lanes * stride + window % kernels.lanes);
      }
    }
  }
  const auto product = [&] {
    for (int64_t first = 0; first < length; first += kFrequencies) {
      for (int64_t tile = 0; tile < kTiles; ++tile)
        kernels.product({in.get(), stride, 0, kInputs, windows.get(), offsets.data() + tile * kInputs * kernels.tile,
                         out.get() + tile * kernels.tile * stride, stride, first, first + kFrequencies});
    }
  };
  const auto each_piece = [&](auto transform) {
    for (int64_t p = 0; p < kInputs; ++p) transform(in.get() + p * stride, length, twiddles.get());
  };
  const Aligned<R> weights = zeros<R>(keys * queries), table = zeros<R>(keys + 2 * queries), values = zeros<R>(keys * kColumns),
                   sums = zeros<R>(kColumns * queries), lse = zeros<R>(queries);
  const auto rows = [&] {
    const simd::ToeplitzBlock<R> weighing{keys,      keys,      table.get() + keys - 1, table.get() + keys - 1,
                                          lse.get(), lse.get(), weights.get()};
    direct.forward[simd::kMaxWidth - 1](weighing, values.get(), kColumns, kColumns, sums.get());
  };
  const auto times =
      medians({product, [&] { each_piece(kernels.transform_half); }, [&] { each_piece(kernels.inverse_half); }, rows});
  const double size = static_cast<double>(length * row), work = 4 * size * kInputs * static_cast<double>(outputs),
               transforms = 2 * size * std::log2(static_cast<double>(length)) * kInputs,
               pairs = static_cast<double>(keys * queries) * (2 * kColumns + 16);
  const auto line = [&](const char* name, double counted, double time) {
    std::printf("| %s | %5d | %-19s | %8.1f | %4.2f |\n", type, static_cast<int>(block), name, counted / time * 1e-9,
                time / counted * work / times[0]);
  };
  line("products of spectra", work, times[0]);
  line("transforms", transforms, times[1]);
  line("inverse transforms", transforms, times[2]);
  line("direct products", pairs, times[3]);
}

// Segments as even as can be, kernels of zeros.
std::vector<ConvSegment<float>> even_segments(int64_t n, int64_t bases, const float* kernel) {
  std::vector<ConvSegment<float>> segments;
  for (int64_t r = 0; r < bases; ++r) segments.push_back({n * r / bases, n * (r + 1) / bases, kernel});
  return segments;
}

ConvGeometry geometry_with(const std::vector<ConvSegment<float>>& segments, int64_t n, int64_t block) {
  ConvGeometry geometry;
  geometry.n = n;
  geometry.block = block;
  for (const auto& segment : segments) geometry.first_block.push_back(segment.first / block);
  for (int64_t c = 0; c * block < n; ++c) {
    for (size_t s = 0; s < segments.size(); ++s) {
      const int64_t first = std::max(c * block, segments[s].first), last = std::min((c + 1) * block, segments[s].last);
      if (first < last) geometry.pieces.push_back({c, static_cast<int64_t>(s), first, last});
    }
  }
  return geometry;
}

// Milliseconds of one product: kernels' spectra and all.
void compare_blocks(simd::Target target, int64_t n, int64_t bases) {
  const Aligned<float> kernel = zeros<float>(n), x = zeros<float>(n * kColumns), y = zeros<float>(n * kColumns);
  const auto segments = even_segments(n, bases, kernel.get());
  const std::vector<double> sums(static_cast<size_t>(n), 0.0);
  const std::vector<float> scales(kColumns, 1.0F);
  Ticker ticker(nullptr);
  Monitor monitor(ticker, 0);
  const Team team(monitor);
  KeptMemory kept;  // as a context has
  const int64_t chosen = conv_geometry<float>(segments, n, false, {kColumns, simd::spectral_kernels<float>(target).lanes}).block;
  std::printf("| %6d | %2d |", static_cast<int>(n), static_cast<int>(bases));
  for (int64_t block = 128; block <= 8192; block *= 2) {
    const ConvPlan plan = conv_plan_logits(geometry_with(segments, n, block), 0);
    const ConvTask<float> task{segments, plan, sums.data()};
    const auto apply = [&] {
      Workspace workspace(0, &kept);
      ConvSpectral<float, float> transforms(team, target, workspace, task, plan.jobs, WindowSharing::shared);
      transforms.forward(team, {x.get(), {n, kColumns}, {kColumns, 1}}, scales, {y.get(), {n, kColumns}, {kColumns, 1}});
    };
    const std::string text = std::to_string(static_cast<int>(std::lround(1e4 * medians({apply}, 5).front())));  // tenths of ms
    std::printf(" %5s.%s%s |", text.size() > 1 ? text.substr(0, text.size() - 1).c_str() : "0",
                text.substr(text.size() - 1).c_str(), block == chosen ? "*" : " ");
    std::fflush(stdout);
  }
  std::printf("\n");
}

}  // namespace

int main() {
  const simd::Target target = simd::default_target();
  std::printf("SIMD target %s, one thread\n\n", simd::name(target));
  compare_transforms(target);
  std::printf(
      "\nParts of a product, by the operations that the plan counts for them; cost: time per operation, of products 1:\n\n");
  std::printf(
      "| type    | block | part                | GF/s     | cost "
      "|\n|---------|-------|---------------------|----------|------|\n");
  for (const int64_t block : {256, 1024, 4096}) compare_parts<float>(target, "float32", block);
  compare_parts<double>(target, "float64", 1024);
  std::printf(
      "\nOne product of %d float32 columns by block size, ms, kernels' spectra included; * the block that the plan chooses:\n\n",
      static_cast<int>(kColumns));
  std::printf("| n      | k  |     128 |     256 |     512 |    1024 |    2048 |    4096 |    8192 |\n");
  std::printf("|--------|----|---------|---------|---------|---------|---------|---------|---------|\n");
  const int64_t shapes[][2] = {{2048, 8}, {8192, 16}, {32768, 16}, {32768, 64}, {131072, 16}, {131072, 64}};
  for (const auto& shape : shapes) compare_blocks(target, shape[0], shape[1]);
  return 0;
}
