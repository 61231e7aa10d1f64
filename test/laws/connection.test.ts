// Every machine, under the same laws.
import { describeConnectionLaws } from './connection.ts'
import { h11 } from './h11.sibling.ts'
import { h2 } from './h2.sibling.ts'

describeConnectionLaws(h11)
describeConnectionLaws(h2)
