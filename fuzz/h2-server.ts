// Any bytes from a client, behind its preface and SETTINGS.
import { H2Connection } from '../src/h2/index.ts'
import { hex, latin1, sameHoweverCut } from './lib/machine.ts'

const preface = new Uint8Array([...latin1('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), ...hex('000000 04 00 00000000')])
export const seeds: readonly Uint8Array[] = [
  hex('000006 01 05 00000001 82 86 84 41 0168'),
  hex('000006 01 04 00000001 828684410168 000003 00 01 00000001 616263'),
  hex('000006 01 01 00000001 828684410168 000000 09 04 00000001'),
  hex('000004 08 00 00000000 7fffffff 000005 02 00 00000003 0000000010'),
]

export function fuzz(input: Uint8Array): void {
  const bytes = new Uint8Array(preface.length + input.length)
  bytes.set(preface)
  bytes.set(input, preface.length)
  sameHoweverCut(bytes, () => new H2Connection('server', { now: 0, frameEvents: true }))
}
