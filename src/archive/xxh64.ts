// XXH64, the content checksum of zstd frames (RFC 8878, section 3.1.1), for Node releases without zstd of their own.
// https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
// 64-bit numbers are pairs of 32-bit halves here: BigInt would be fifty times slower.

/** Result of the last {@link multiply}, {@link rotate} or {@link add}: high and low half. */
let high = 0;
let low = 0;

function multiply(ah: number, al: number, bh: number, bl: number): void {
  const a0 = al & 0xffff;
  const a1 = al >>> 16;
  const b0 = bl & 0xffff;
  const b1 = bl >>> 16;
  const low0 = Math.imul(a0, b0) >>> 0;
  const middle = (Math.imul(a1, b0) >>> 0) + (low0 >>> 16);
  const middle2 = (Math.imul(a0, b1) >>> 0) + (middle & 0xffff);
  const carry = (Math.imul(a1, b1) >>> 0) + Math.floor(middle / 65536) + Math.floor(middle2 / 65536);
  high = (carry + Math.imul(ah, bl) + Math.imul(al, bh)) | 0;
  low = Math.imul(al, bl);
}

function rotate(h: number, l: number, bits: number): void {
  const [a, b] = bits < 32 ? [h, l] : [l, h];
  const n = bits & 31;
  high = (a << n) | (b >>> (32 - n));
  low = (b << n) | (a >>> (32 - n));
}

function add(ah: number, al: number, bh: number, bl: number): void {
  const sum = (al >>> 0) + (bl >>> 0);
  low = sum | 0;
  high = (ah + bh + (sum > 0xffffffff ? 1 : 0)) | 0;
}

const p1h = 0x9e3779b1 | 0;
const p1l = 0x85ebca87 | 0;
const p2h = 0xc2b2ae3d | 0;
const p2l = 0x27d4eb4f | 0;
const p3h = 0x165667b1 | 0;
const p3l = 0x9e3779f9 | 0;
const p4h = 0x85ebca77 | 0;
const p4l = 0xc2b2ae63 | 0;
const p5h = 0x27d4eb2f | 0;
const p5l = 0x165667c5 | 0;
const stripe = 32;

/** acc' = rotl(acc + input * P2, 31) * P1 */
function round(ah: number, al: number, ih: number, il: number): void {
  multiply(ih, il, p2h, p2l);
  add(ah, al, high, low);
  rotate(high, low, 31);
  multiply(high, low, p1h, p1l);
}

/** A running XXH64 with seed 0. */
export class Xxh64 {
  /** Four accumulators, high half before low half. */
  readonly #lanes = new Int32Array(8);
  readonly #held = Buffer.alloc(stripe);
  #heldLength = 0;
  #length = 0;

  constructor() {
    add(p1h, p1l, p2h, p2l);
    this.#lanes.set([high, low, p2h, p2l, 0, 0], 0);
    add(~p1h, ~p1l, 0, 1);
    this.#lanes.set([high, low], 6);
  }

  update(chunk: Uint8Array): void {
    let at = 0;
    this.#length += chunk.length;
    if (this.#heldLength > 0) {
      at = Math.min(stripe - this.#heldLength, chunk.length);
      this.#held.set(chunk.subarray(0, at), this.#heldLength);
      this.#heldLength += at;
      if (this.#heldLength < stripe) return;
      this.#stripes(this.#held, 0, stripe);
      this.#heldLength = 0;
    }
    const end = chunk.length - ((chunk.length - at) % stripe);
    this.#stripes(chunk, at, end);
    this.#held.set(chunk.subarray(end), 0);
    this.#heldLength = chunk.length - end;
  }

  #stripes(bytes: Uint8Array, from: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const lanes = this.#lanes;
    for (let at = from; at < end; at += stripe) {
      for (let lane = 0; lane < 4; lane++) {
        const input = at + lane * 8;
        const h = lanes[2 * lane] ?? 0;
        const l = lanes[2 * lane + 1] ?? 0;
        round(h, l, view.getInt32(input + 4, true), view.getInt32(input, true));
        lanes[2 * lane] = high;
        lanes[2 * lane + 1] = low;
      }
    }
  }

  /** The low 32 bits, which is what zstd keeps. The hash is used up. */
  low32(): number {
    let [h, l] = this.#merged();
    const mix = () => {
      h = high;
      l = low;
    };
    add(h, l, Math.floor(this.#length / 2 ** 32), this.#length | 0);
    mix();
    const rest = this.#held;
    let at = 0;
    for (; at + 8 <= this.#heldLength; at += 8) {
      round(0, 0, rest.readInt32LE(at + 4), rest.readInt32LE(at));
      rotate(h ^ high, l ^ low, 27);
      multiply(high, low, p1h, p1l);
      add(high, low, p4h, p4l);
      mix();
    }
    if (at + 4 <= this.#heldLength) {
      multiply(0, rest.readInt32LE(at), p1h, p1l);
      rotate(h ^ high, l ^ low, 23);
      multiply(high, low, p2h, p2l);
      add(high, low, p3h, p3l);
      mix();
      at += 4;
    }
    for (; at < this.#heldLength; at++) {
      multiply(0, rest[at] ?? 0, p5h, p5l);
      rotate(h ^ high, l ^ low, 11);
      multiply(high, low, p1h, p1l);
      mix();
    }
    return avalanche(h, l);
  }

  #merged(): [number, number] {
    if (this.#length < stripe) return [p5h, p5l];
    const lanes = this.#lanes;
    let h = 0;
    let l = 0;
    for (const [lane, bits] of [1, 7, 12, 18].entries()) {
      rotate(lanes[2 * lane] ?? 0, lanes[2 * lane + 1] ?? 0, bits);
      add(h, l, high, low);
      h = high;
      l = low;
    }
    for (let lane = 0; lane < 4; lane++) {
      round(0, 0, lanes[2 * lane] ?? 0, lanes[2 * lane + 1] ?? 0);
      multiply(h ^ high, l ^ low, p1h, p1l);
      add(high, low, p4h, p4l);
      h = high;
      l = low;
    }
    return [h, l];
  }
}

function avalanche(h: number, l: number): number {
  // h ^= h >> 33; h *= P2; h ^= h >> 29; h *= P3; h ^= h >> 32
  multiply(h, l ^ (h >>> 1), p2h, p2l);
  const shiftedLow = (low >>> 29) | (high << 3);
  multiply(high ^ (high >>> 29), low ^ shiftedLow, p3h, p3l);
  return (low ^ high) >>> 0;
}
