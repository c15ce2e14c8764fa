/* The network's arithmetic for WebAssembly, four numbers at a time. Compiled with clang 16 or newer, and its lld, by
 *
 *   clang --target=wasm32 -O3 -msimd128 -nostdlib -fno-builtin -fvisibility=hidden -Wl,--no-entry -Wl,--export-dynamic \
 *         -Wl,--export=__heap_base -Wl,--strip-all -o kernels.wasm kernels.c
 *
 * and, for browsers that can multiply and add in one instruction, with -mrelaxed-simd added and -o kernels_relaxed.wasm.
 *
 * Images are (channels, height, width) in float32. Nearly all time goes into one function, `multiply`: convolutions of
 * 1 x 1 and of 3 x 3 pixels and the attention are three ways of preparing its operands. Loads may run up to 16 numbers
 * past an array's end; kernels.js leaves that much room behind each. */

#define API __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))
#define OUTPUTS 4 /* `multiply` makes so many outputs at a time, */
#define BLOCK 2   /* each of so many vectors. More would not fit into the registers that browsers use, and be slower. */
#define WIDTH (4 * BLOCK)
#define KEYS 128  /* pixels that `attend` asks at a time: few enough for the processor's fastest memory */

typedef float vec __attribute__((vector_size(16)));
typedef float unaligned __attribute__((vector_size(16), aligned(4)));
typedef int ints __attribute__((vector_size(16)));

INLINE vec load(const float *from) { return *(const unaligned *)from; }
INLINE void store(float *to, vec value) { *(unaligned *)to = value; }
INLINE void store_some(float *to, vec value, int count) { /* the first `count` of four numbers */
  if (count >= 4) store(to, value);
  else for (int i = 0; i < count; i++) to[i] = value[i];
}
INLINE int rounded_up(int count) { return (count + OUTPUTS - 1) / OUTPUTS * OUTPUTS; }
INLINE vec all(float value) { return (vec){value, value, value, value}; }
INLINE vec larger(vec a, vec b) { return (vec)__builtin_wasm_max_f32x4(a, b); }
INLINE vec madd(vec a, vec b, vec c) {
#ifdef __wasm_relaxed_simd__
  return __builtin_wasm_relaxed_madd_f32x4(a, b, c);
#else
  return a * b + c;
#endif
}

/* exp(x) after the Cephes library: a power of two times a polynomial. The relative error is about 1e-7. */
INLINE vec exponential(vec x) {
  x = __builtin_wasm_min_f32x4(larger(x, all(-87)), all(88));
  vec n = __builtin_wasm_nearest_f32x4(x * all(1.44269504f));
  vec r = madd(n, all(2.12194440e-4f), madd(n, all(-0.693359375f), x));
  vec p = madd(all(1.9875691500e-4f), r, all(1.3981999507e-3f));
  p = madd(p, r, all(8.3334519073e-3f));
  p = madd(p, r, all(4.1665795894e-2f));
  p = madd(p, r, all(1.6666665459e-1f));
  p = madd(p, r, all(5.0000001201e-1f));
  p = madd(p, r * r, r + all(1));
  ints power = (__builtin_wasm_trunc_saturate_s_i32x4_f32x4(n) + 127) << 23;
  return p * (vec)power;
}

/* sums[j] = sum over i < terms of weights[i][j] * x[i * stride + 0..WIDTH - 1], for OUTPUTS outputs j. */
INLINE void multiply(const float *weights, const float *x, int stride, int terms, vec sums[OUTPUTS][BLOCK]) {
  for (int j = 0; j < OUTPUTS; j++)
    for (int e = 0; e < BLOCK; e++) sums[j][e] = all(0);
  for (int i = 0; i < terms; i++, weights += OUTPUTS, x += stride) {
    vec values[BLOCK];
#pragma unroll
    for (int e = 0; e < BLOCK; e++) values[e] = load(x + 4 * e);
#pragma unroll
    for (int j = 0; j < OUTPUTS; j++) {
      vec weight = all(weights[j]);
#pragma unroll
      for (int e = 0; e < BLOCK; e++) sums[j][e] = madd(values[e], weight, sums[j][e]);
    }
  }
}

/* out = x inside a frame of zeros, one pixel wide above and on the left. Rows of the frame are `stride` long, `rows` of
 * them a channel. On the way comes silu(scale[c] * x) = scale x / (1 + exp(-scale x)), if `silu` is set. */
API void frame(const float *x, float *out, int channels, int height, int width, int rows, int stride, int silu,
               const float *scale) {
  for (int i = 0; i < channels * rows * stride; i++) out[i] = 0;
  for (int c = 0; c < channels; c++) {
    vec factor = all(scale ? scale[c] : 1);
    for (int y = 0; y < height; y++, x += width) {
      float *row = out + (c * rows + y + 1) * stride + 1;
      for (int i = 0; i < width; i += 4) {
        vec value = load(x + i) * factor;
        if (silu) value = value / (all(1) + exponential(-value));
        if (i + 4 <= width) store(row + i, value);
        else for (int e = 0; i + e < width; e++) row[i + e] = value[e];
      }
    }
  }
}

/* The matrix B of Winograd's minimal filtering F(2 x 2, 3 x 3) (Lavin and Gray 2015, arXiv 1509.09308): along one axis
 * it turns 4 inputs into 4 terms. Products of terms with the filter's terms, turned back by `to_pixels`, give 2 outputs
 * of a filter of 3 taps. In two dimensions that takes 16 products for 4 outputs, where the plain sum takes 36. */
INLINE void to_terms(vec a, vec b, vec c, vec d, vec *out, int step) {
  out[0] = a - c;
  out[step] = b + c;
  out[2 * step] = c - b;
  out[3 * step] = b - d;
}

INLINE void to_pixels(vec a, vec b, vec c, vec d, vec *out) {
  out[0] = a + b + c;
  out[1] = b - c - d;
}

/* Convolution of 3 x 3 pixels with zeros around: out = conv(x) + alpha * add, where `add` may be 0.
 * framed: what `frame` made, (inputs, rows, stride), with rows >= height + 3 and stride >= width + 12
 * weights: the filters' terms, (outputs / OUTPUTS, 16, inputs, OUTPUTS), from kernels.js
 * scratch: room for 16 * inputs * WIDTH numbers
 * The image is cut into tiles of 2 x 2 output pixels. One vector holds four neighbouring tiles. */
API void conv3(const float *framed, const float *weights, float *out, int inputs, int outputs, int height, int width,
               int rows, int stride, const float *add, float alpha, float *scratch) {
  int across = (width + 7) / 8, vectors = across * ((height + 1) / 2);
  for (int first = 0; first < vectors; first += BLOCK) {
    int count = vectors - first < BLOCK ? vectors - first : BLOCK;
    for (int e = 0; e < count; e++) {
      const float *from = framed + (first + e) / across * 2 * stride + (first + e) % across * 8;
      for (int i = 0; i < inputs; i++, from += rows * stride) {
        vec half[16], terms[4];
#pragma unroll
        for (int y = 0; y < 4; y++) {
          const float *row = from + y * stride;
          vec p = load(row), q = load(row + 4), r = load(row + 2), s = load(row + 6);
          to_terms(__builtin_shufflevector(p, q, 0, 2, 4, 6), __builtin_shufflevector(p, q, 1, 3, 5, 7),
                   __builtin_shufflevector(r, s, 0, 2, 4, 6), __builtin_shufflevector(r, s, 1, 3, 5, 7), half + 4 * y, 1);
        }
#pragma unroll
        for (int x = 0; x < 4; x++) {
          to_terms(half[x], half[4 + x], half[8 + x], half[12 + x], terms, 1);
#pragma unroll
          for (int y = 0; y < 4; y++) store(scratch + ((4 * y + x) * inputs + i) * WIDTH + 4 * e, terms[y]);
        }
      }
    }
    for (int o = 0; o < outputs; o += OUTPUTS) {
      vec products[16][OUTPUTS][BLOCK];
      for (int term = 0; term < 16; term++)
        multiply(weights + (o * 16 + OUTPUTS * term) * inputs, scratch + term * inputs * WIDTH, WIDTH, inputs,
                 products[term]);
      for (int e = 0; e < count; e++) {
        int top = (first + e) / across * 2, left = (first + e) % across * 8;
        for (int j = 0; j < OUTPUTS && o + j < outputs; j++) {
          vec half[2][4], pixels[2];
#pragma unroll
          for (int x = 0; x < 4; x++) {
            to_pixels(products[x][j][e], products[4 + x][j][e], products[8 + x][j][e], products[12 + x][j][e], pixels);
            half[0][x] = pixels[0], half[1][x] = pixels[1];
          }
          for (int y = 0; y < 2 && top + y < height; y++) {
            to_pixels(half[y][0], half[y][1], half[y][2], half[y][3], pixels);
            int at = ((o + j) * height + top + y) * width + left;
            vec parts[2] = {__builtin_shufflevector(pixels[0], pixels[1], 0, 4, 1, 5),
                            __builtin_shufflevector(pixels[0], pixels[1], 2, 6, 3, 7)};
            for (int part = 0; part < 2; part++) {
              vec value = parts[part];
              int here = left + 4 * part;
              if (add) value += all(alpha) * load(add + at + 4 * part);
              if (here + 4 <= width) store(out + at + 4 * part, value);
              else for (int i = 0; here + i < width; i++) out[at + 4 * part + i] = value[i];
            }
          }
        }
      }
    }
  }
}

/* Convolution of 1 x 1 pixel: out = weights x + alpha * add on each of `size` pixels, where `add` may be 0.
 * weights: (outputs / OUTPUTS, inputs, OUTPUTS); scratch: room for inputs * WIDTH numbers */
API void conv1(const float *x, const float *weights, float *out, int inputs, int outputs, int size, const float *add,
               float alpha, float *scratch) {
  for (int first = 0; first < size; first += WIDTH) {
    int count = size - first < WIDTH ? size - first : WIDTH;
    for (int i = 0; i < inputs; i++)
      for (int e = 0; e < BLOCK; e++) store(scratch + i * WIDTH + 4 * e, load(x + i * size + first + 4 * e));
    for (int o = 0; o < outputs; o += OUTPUTS) {
      vec sums[OUTPUTS][BLOCK];
      multiply(weights + o * inputs, scratch, WIDTH, inputs, sums);
      for (int j = 0; j < OUTPUTS && o + j < outputs; j++)
        for (int e = 0; e < count; e += 4) {
          int at = (o + j) * size + first + e;
          vec value = sums[j][e / 4];
          if (add) value += all(alpha) * load(add + at);
          store_some(out + at, value, count - e);
        }
    }
  }
}

/* Self-attention: out = softmax(q k / sqrt(channels)) v, each pixel asking all others.
 * qkv: (3, channels, size). Every pixel of q and k has root mean square 1 over its channels. So no score is larger than
 *      sqrt(channels), and its exponential is finite without a maximum taken off first.
 * out: (channels, size)
 * scratch: room for 2 (channels + OUTPUTS) (size + OUTPUTS) + (2 (channels + OUTPUTS) + KEYS) WIDTH numbers */
API void attend(const float *qkv, float *out, int channels, int size, float *scratch) {
  const float *q = qkv, *k = q + channels * size, *v = k + channels * size;
  int all_keys = rounded_up(size), all_channels = rounded_up(channels);
  float *keys = scratch, *values = keys + all_keys * channels; /* k and v as `multiply` reads its weights */
  float *asking = values + all_channels * size;                /* q of WIDTH pixels */
  float *shares = asking + channels * WIDTH;                   /* what each of KEYS pixels weighs for them */
  float *sum = shares + (KEYS + OUTPUTS) * WIDTH;              /* v, summed by weight */
  for (int i = 0; i < all_keys; i++)
    for (int c = 0; c < channels; c++)
      keys[(i / OUTPUTS * channels + c) * OUTPUTS + i % OUTPUTS] = i < size ? k[c * size + i] : 0;
  for (int c = 0; c < all_channels; c++)
    for (int i = 0; i < size; i++)
      values[(c / OUTPUTS * size + i) * OUTPUTS + c % OUTPUTS] = c < channels ? v[c * size + i] : 0;
  float root = 1 / __builtin_sqrtf(channels);
  for (int first = 0; first < size; first += WIDTH) {
    vec totals[BLOCK], sums[OUTPUTS][BLOCK];
    for (int e = 0; e < BLOCK; e++) totals[e] = all(0);
    for (int c = 0; c < channels; c++)
      for (int e = 0; e < BLOCK; e++) store(asking + c * WIDTH + 4 * e, all(root) * load(q + c * size + first + 4 * e));
    for (int i = 0; i < all_channels * WIDTH; i++) sum[i] = 0;
    for (int from = 0; from < size; from += KEYS) {
      int count = size - from < KEYS ? size - from : KEYS;
      for (int i = 0; i < count; i += OUTPUTS) {
        multiply(keys + (from + i) * channels, asking, WIDTH, channels, sums);
        for (int j = 0; j < OUTPUTS && i + j < count; j++)
          for (int e = 0; e < BLOCK; e++) {
            vec share = exponential(sums[j][e]);
            totals[e] += share;
            store(shares + (i + j) * WIDTH + 4 * e, share);
          }
      }
      for (int c = 0; c < channels; c += OUTPUTS) {
        multiply(values + c * size + from * OUTPUTS, shares, WIDTH, count, sums);
        for (int j = 0; j < OUTPUTS; j++)
          for (int e = 0; e < BLOCK; e++) {
            float *at = sum + (c + j) * WIDTH + 4 * e;
            store(at, load(at) + sums[j][e]);
          }
      }
    }
    for (int c = 0; c < channels; c++)
      for (int e = 0; e < BLOCK; e++)
        store_some(out + c * size + first + 4 * e, load(sum + c * WIDTH + 4 * e) / totals[e], size - first - 4 * e);
  }
}

/* Scale each pixel to root mean square 1 over its channels, in place. */
API void unit(float *x, int channels, int size) {
  for (int first = 0; first < size; first += 256) {
    float norms[256];
    int count = size - first < 256 ? size - first : 256;
    for (int i = 0; i < count; i++) norms[i] = 0;
    for (int c = 0; c < channels; c++)
      for (int i = 0; i < count; i++) norms[i] += x[c * size + first + i] * x[c * size + first + i];
    for (int i = 0; i < count; i++) norms[i] = __builtin_sqrtf(norms[i] / channels) + 1e-4f;
    for (int c = 0; c < channels; c++)
      for (int i = 0; i < count; i++) x[c * size + first + i] /= norms[i];
  }
}

API void scaled(const float *x, float *out, int size, float factor) {
  for (int i = 0; i < size; i++) out[i] = factor * x[i];
}

/* Half the resolution: means of 2 x 2 pixels. Height and width are even. */
API void halve(const float *x, float *out, int channels, int height, int width) {
  for (int y = 0; y < channels * height / 2; y++, x += 2 * width)
    for (int i = 0; i < width / 2; i++)
      *out++ = (x[2 * i] + x[2 * i + 1] + x[width + 2 * i] + x[width + 2 * i + 1]) / 4;
}

/* Twice the resolution: each pixel four times. */
API void twice(const float *x, float *out, int channels, int height, int width) {
  for (int y = 0; y < channels * 2 * height; y++)
    for (int i = 0; i < 2 * width; i++) *out++ = x[y / 2 * width + i / 2];
}
