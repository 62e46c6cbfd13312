// The plan's tests as one: for each of a thousand mutants, loading AWS's clients once rather than for every file.
import './encrypted-copies.test.ts';
import './operations.test.ts';
import './plan.test.ts';
import './resume.test.ts';
import './retention.test.ts';
import './route.test.ts';
