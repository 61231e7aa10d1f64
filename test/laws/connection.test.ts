// Every machine, under the same laws.
import { describeConnectionLaws } from './connection.ts'
import { h11 } from './h11.sibling.ts'

describeConnectionLaws(h11)
