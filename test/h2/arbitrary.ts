// Frames of a peer, as arbitraries: mostly right ones, in orders that may be wrong.
import { fc } from '@fast-check/vitest'
import { FLAG, FRAME } from '../../src/h2/index.ts'
import {
  block,
  concat,
  data,
  frame,
  GET,
  goaway,
  headers,
  OK,
  ping,
  POST,
  reset,
  settings,
  SETTINGS_ACK,
  uint32,
  windowUpdate,
} from './support.ts'

const anyStream = fc.constantFrom(0, 1, 1, 1, 3, 3, 5, 2, 7, 2 ** 31 - 1)
const liveStream = fc.constantFrom(1, 3, 5)
const number31 = fc.oneof(fc.constantFrom(0, 1, 100, 65_535, 2 ** 31 - 1), fc.nat(2 ** 31 - 1))
const field = fc.constantFrom(
  ['x-a', 'b'] as const,
  ['content-length', '5'] as const,
  ['X-Upper', 'a'] as const,
  ['connection', 'close'] as const,
  [':status', '100'] as const,
  ['cookie', 'a=b'] as const,
  ['te', 'trailers'] as const,
)
const section = fc.tuple(fc.constantFrom(GET, POST, OK, []), fc.array(field, { maxLength: 3 }))
/** Frames that seldom break the connection, so that a run gets somewhere. */
const polite: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc
    .tuple(liveStream, fc.array(field, { maxLength: 2 }), fc.boolean())
    .map(([id, extra, end]) => concat([headers(id, POST, false, extra), data(id, 5, end)])),
  fc
    .tuple(liveStream, fc.array(field, { maxLength: 2 }), fc.boolean())
    .map(([id, extra, end]) => concat([headers(id, OK, false, extra), data(id, 5, end)])),
  fc.tuple(liveStream, fc.oneof(fc.nat(20), fc.nat(700))).map(([id, n]) => data(id, n)),
  fc.tuple(liveStream, fc.nat(100_000)).map(([id, increment]) => windowUpdate(id, increment + 1)),
  fc.tuple(liveStream, fc.nat(20)).map(([id, code]) => reset(id, code)),
  liveStream.map((id) => headers(id, [['x-sum', '1']], true)),
  fc.constantFrom(ping(), settings([4, 70_000]), settings([3, 1]), frame(0x42, 0, 0, new Uint8Array(3))),
)
const rude: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.tuple(anyStream, section, fc.boolean()).map(([id, [pseudo, extra], end]) => headers(id, pseudo, end, extra)),
  fc.tuple(anyStream, section, fc.nat(60)).map(([id, [pseudo, extra], cut]) => {
    const whole = block([...pseudo, ...extra])
    const rest = frame(FRAME.CONTINUATION, FLAG.END_HEADERS, id, whole.subarray(cut))
    return concat([frame(FRAME.HEADERS, 0, id, whole.subarray(0, cut)), rest])
  }),
  fc.tuple(anyStream, fc.oneof(fc.nat(20), fc.nat(700)), fc.boolean()).map(([id, n, end]) => data(id, n, end)),
  fc
    .tuple(anyStream, fc.nat(20), fc.nat(30))
    .map(([id, n, pad]) => frame(FRAME.DATA, FLAG.PADDED, id, concat([new Uint8Array([pad]), new Uint8Array(n + 10)]))),
  fc.tuple(anyStream, number31).map(([id, increment]) => windowUpdate(id, increment)),
  fc.tuple(anyStream, fc.nat(20)).map(([id, code]) => reset(id, code)),
  fc.tuple(fc.constantFrom(1, 2, 3, 4, 5, 8, 9, 99), number31).map((entry) => settings(entry)),
  fc.constant(SETTINGS_ACK),
  fc.boolean().map((ack) => ping('abcdefgh', ack)),
  fc.tuple(fc.constantFrom(0, 1, 3, 2 ** 31 - 1), fc.nat(20)).map(([last, code]) => goaway(last, code, 'why')),
  anyStream.map((id) => frame(FRAME.PRIORITY, 0, id, new Uint8Array(5))),
  fc
    .tuple(anyStream, fc.nat(9))
    .map(([id, n]) => frame(FRAME.PRIORITY_UPDATE, 0, 0, concat([uint32(id), new Uint8Array(n)]))),
  fc.tuple(fc.nat(255), fc.nat(255), anyStream, fc.uint8Array({ maxLength: 40 })).map((parts) => frame(...parts)),
  fc.uint8Array({ maxLength: 12 }),
)
const oneFrame = fc.oneof({ weight: 12, arbitrary: polite }, { weight: 1, arbitrary: rude })
export const peerBytes = fc.array(oneFrame, { maxLength: 25 }).map((frames) => concat(frames))
