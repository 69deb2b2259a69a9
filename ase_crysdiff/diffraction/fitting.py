"""Crystals fitted to a powder pattern."""

from collections.abc import Sequence

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.diffraction.fit import Outcome, minimise
from ase_crysdiff.diffraction.model import SHIFT, SITES, SLOPE, STRAIN, THERMAL, WIDTH, Model
from ase_crysdiff.diffraction.pattern import Pattern
from ase_crysdiff.diffraction.reflections import Reflections
from ase_crysdiff.diffraction.scan import Scan, scan_of
from ase_crysdiff.diffraction.search import starts
from ase_crysdiff.diffraction.view import View
from ase_crysdiff.symmetry.finding import find_symmetric

SYMPREC=0.03
BLURS=(0.9,0.9,0.35,0.0)

class Fitter:
    def __init__(self, pattern):
        self.scan=scan_of(pattern)
        self.coarse=View.of(self.scan,0.9); self.medium=View.of(self.scan,0.35); self.fine=View.of(self.scan,0.0)
    def __call__(self, structure):
        sym=find_symmetric(structure,SYMPREC)
        refl=Reflections.of(sym, self.scan.pattern.largest_inverse_d*1.1)
        model=Model(refl,self.scan.pattern.radiation)
        found=[]
        for s in starts(model,self.coarse,4):
            n=model.start(); n[model.places[STRAIN]]=s
            found.append(minimise(model,self.coarse,n,(STRAIN,),5))
        found=self.best(found,3)
        found=[minimise(model,self.medium,f.numbers,(STRAIN,),8) for f in found]
        found=self.best(found,2)
        found=[minimise(model,self.fine,f.numbers,(STRAIN,SHIFT,WIDTH),8) for f in found]
        a=min(found,key=lambda o:o.cost)
        found=[minimise(model,self.fine,f.numbers,(STRAIN,SHIFT,WIDTH,SLOPE,THERMAL,SITES),20) for f in found]
        b=min(found,key=lambda o:o.cost)
        return model,a,b
    def best(self,found,n):
        found=sorted(found,key=lambda o:o.cost)
        kept=[]
        for f in found:
            if all(np.abs(f.numbers-k.numbers).max()>0.003 for k in kept): kept.append(f)
        return kept[:n]
